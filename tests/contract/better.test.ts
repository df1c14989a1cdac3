/** What `docs/compatibility.md` tells of answers that differ from recorded ones: all of them, and no other. */
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { better } from "./better.ts";

const text = (path: string): string => readFileSync(new URL(path, import.meta.url), "utf8");
const samples: Readonly<Record<string, { method: string; path: string; status: number } | undefined>> = JSON.parse(text("recorded.json"));

it("is told to users with its reason, request by request", () => {
  const [, section = ""] = text("../../docs/compatibility.md").split("## Where a recorded answer differs");
  const told = [...section.matchAll(/^\| `([A-Z]+ \/[^`]*)` +\| (\d+)(?: → (\d+))? +\| (.*?) +\|$/gm)].map(
    ([, request = "", before = "", after = before, why = ""]) => `${request} ${before} ${after} ${why}`,
  );
  const differing = Object.entries(better).map(([name, { status, why }]) => {
    const { method = "", path = "", status: before = 0 } = samples[name] ?? {};
    return `${method} ${path} ${before} ${status ?? before} ${why}`;
  });
  expect(told.toSorted()).toEqual([...new Set(differing)].toSorted());
});
