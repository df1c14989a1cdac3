/** The log that is kept has a bound, and a reader who falls behind learns how much it missed. */
import { expect, it } from "vitest";
import { keepingLines } from "./recent-lines.ts";

const open = () => {
  const written: string[] = [];
  const { to, lines } = keepingLines({ write: (line) => void written.push(line) });
  return { written, lines, write: (line: string) => to.write(`${line}\n`) };
};

it("keeps the last lines, never more memory than it may, and writes them all", () => {
  const { lines, write, written } = open();
  for (let index = 0; index < 6_000; index += 1) write(`line ${index}`);
  expect(lines.recent()).toHaveLength(5_000);
  expect(lines.recent(2)).toEqual(["line 5998", "line 5999"]);
  expect(lines.recent(0)).toEqual([]);
  for (let index = 0; index < 200; index += 1) write("x".repeat(100_000));
  expect(lines.recent().reduce((bytes, line) => bytes + line.length, 0)).toBeLessThanOrEqual(4 * 1024 ** 2);
  expect(written).toHaveLength(6_200);
});

it("hands each line to a reader in order, tells it what it missed, and lets it go", async () => {
  const { lines, write } = open();
  const end = new AbortController();
  const reader = lines.follow(end.signal)[Symbol.asyncIterator]();
  const first = reader.next();
  write("one");
  expect(await first).toEqual({ done: false, value: "one" });
  for (let index = 0; index < 1_500; index += 1) write(`line ${index}`);
  const seen: string[] = [];
  for (let index = 0; index < 1_001; index += 1) seen.push((await reader.next()).value);
  expect(seen.slice(0, 2)).toEqual(["line 0", "line 1"]);
  expect(JSON.parse(seen.at(-1) ?? "")).toEqual({ event: "log.lines_lost", lost: 500 });
  const last = reader.next();
  end.abort();
  expect((await last).done).toBe(true);
});
