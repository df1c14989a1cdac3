/** Guarantees of the children's logs: bounded on disk, whole at the end, private. */
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { expect, it, onTestFinished } from "vitest";
import { openLog } from "./logs.ts";

it("keeps two files of 8 MB at most, with the newest lines in the first", async () => {
  const folder = mkdtempSync(join(tmpdir(), "drover-logs-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const log = openLog(join(folder, "logs"), "child", () => {});
  const line = "x".repeat(256 * 1024);
  for (let count = 0; count < 80; count += 1) log.note(line);
  log.note("the last");
  const sizes = ["child.log", "child.1.log"].map((name) => statSync(join(folder, "logs", name)).size);
  for (const bytes of sizes) expect(bytes).toBeLessThan(9 * 1024 * 1024);
  expect(existsSync(join(folder, "logs", "child.2.log"))).toBe(false);
  expect(readFileSync(log.path, "utf8").endsWith("the last\n")).toBe(true);
  expect(statSync(log.path).mode & 0o777).toBe(0o600);
});

it("cuts what a child says into lines, however it arrives", async () => {
  const folder = mkdtempSync(join(tmpdir(), "drover-logs-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const told: string[] = [];
  const log = openLog(folder, "child", (line) => void told.push(line));
  const stream = new PassThrough();
  log.follow(stream);
  stream.write("one\ntw");
  stream.end("o\nthree");
  await new Promise((resolve) => stream.on("close", resolve));
  expect(told).toEqual(["one", "two", "three"]);
  expect(log.tail()).toEqual(told);
});
