/** What a log gets to see of an operation. */
import { Readable, Writable } from "node:stream";
import { describe, expect, it } from "vitest";
import { openContext, withOptions } from "../context.ts";
import type { Parts } from "../parts.ts";
import { OperationDetail } from "../wire.ts";
import { headline, watched } from "./progress.ts";

const at = (second: number) => new Date(Date.UTC(2026, 0, 1, 0, 0, second)).toISOString();
const id = "019a9f3c-5d7e-7c1b-9a55-0d7f6d1f2a10";
type Told = Readonly<Record<string, unknown>>;
const step = (name: string, more: Told) => ({
  name,
  position: 1,
  state: "running",
  attempt: 1,
  startedAt: at(0),
  endedAt: null,
  progress: null,
  fault: null,
  ...more,
});
const operation = {
  id,
  project: "default",
  verb: "push",
  state: "running",
  subject: "ubuntu",
  actor: "root",
  hostId: null,
  machineId: null,
  image: null,
};
const times = {
  onFault: "park",
  workflowId: `push/ubuntu/${id}`,
  createdAt: at(0),
  startedAt: at(0),
  endedAt: null,
  fault: null,
  result: null,
};
const detail = (steps: Told[], more: Told = {}) => OperationDetail.parse({ ...operation, ...times, steps, ...more });

function log({ json = false, quiet = false } = {}) {
  const lines: string[] = [];
  const err = new Writable({
    write: (chunk, _encoding, done) => {
      lines.push(String(chunk).trimEnd());
      done();
    },
  });
  const world = {
    env: {},
    folder: "/",
    streams: { out: err, err, in: Readable.from([]) },
    parts: {} as Parts,
    onSignal: () => () => undefined,
  };
  const clock = { now: 0 };
  return { lines, clock, view: watched(withOptions(openContext(world), { json, quiet }), () => clock.now) };
}

const uploading = (doneBytes: number) =>
  detail([
    step("upload", {
      progress: { doneBytes, totalBytes: 1024 ** 3, newBytes: 1024 ** 2, bytesPerSecond: 50 * 1024 ** 2, remainingMs: 12_400 },
    }),
  ]);

describe("progress", () => {
  it("tells share, new bytes, rate and remaining time of the step that runs", () => {
    expect(headline(uploading(512 * 1024 ** 2))).toBe("upload: 50 % of 1 GiB, 1 MiB new, 50 MiB/s, 12 s left");
  });

  it("tells what a step waits for, and why a parked one stands still", () => {
    expect(headline(detail([step("fetch", { progress: { doneBytes: 0, totalBytes: 0, waitsFor: "a transfer slot" } })]))).toBe(
      "fetch: waits for a transfer slot",
    );
    const fault = { code: "no_space", message: "The disk is full.", remedy: "Free space." };
    expect(headline(detail([step("fetch", { state: "parked", fault })], { state: "parked" }))).toBe("fetch: parked, The disk is full.");
  });

  it("writes at most one line per second, and none without news", () => {
    const { lines, view, clock } = log();
    const look = () => view.show(uploading(Math.min(clock.now, 2_500) * 100 * 1024));
    for (; clock.now <= 3_500; clock.now += 10) look();
    expect(lines.map((line) => line.split(" of")[0])).toEqual(["upload: 9 %", "upload: 19 %", "upload: 23 %"]);
    for (; clock.now <= 10_000; clock.now += 10) look();
    expect(lines).toHaveLength(3);
  });

  it("tells a short step by its end alone", () => {
    const { lines, view, clock } = log();
    view.show(detail([step("make room", {})]));
    clock.now += 300;
    view.show(detail([step("make room", { state: "done", endedAt: at(1) }), step("fetch", {})]));
    expect(lines).toEqual(["make room: done, 1 s"]);
  });

  it("tells the end of each step once", () => {
    const { lines, view } = log();
    const ended = detail([step("inspect bundle", { state: "done", endedAt: at(3) })]);
    view.show(ended);
    view.show(ended);
    expect(lines).toEqual(["inspect bundle: done, 3 s"]);
  });

  it("leaves standard error to problems under --json, and to nothing under --quiet", () => {
    for (const options of [{ json: true }, { quiet: true }]) {
      const { lines, view } = log(options);
      view.show(uploading(1));
      view.say("something");
      expect(lines).toEqual([]);
    }
  });
});
