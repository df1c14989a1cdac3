import { expect, it } from "vitest";
import { changesOf } from "./set.ts";

const operation = (group: string, verb: string, value = "", options: { flag: string; value: string }[] = []) => ({
  group,
  operation: verb,
  value,
  options,
  flags: [],
});
const actionOf = (...args: Parameters<typeof operation>) => {
  const [change] = changesOf([operation(...args)]);
  return change && "action" in change ? change.action : change;
};

it("turns the groups that clients send into actions", () => {
  expect(actionOf("state", "start")).toEqual({ verb: "start" });
  expect(actionOf("cpu", "set", "4")).toMatchObject({ verb: "configure", vcpus: 4 });
  expect(actionOf("memory", "set", "4096")).toMatchObject({ verb: "configure", memoryBytes: 4096 * 1024 ** 2 });
  expect(actionOf("machine", "clone", "", [{ flag: "name", value: "copy" }])).toMatchObject({ verb: "clone", name: "copy" });
  expect(actionOf("device", "add", "hdd", [{ flag: "size", value: "20480" }])).toMatchObject({
    options: [
      { flag: "device-add", value: "hdd" },
      { flag: "size", value: "20480" },
    ],
  });
});

it("refuses what no table knows before anything is done", () => {
  expect(() => changesOf([])).toThrow("Invalid request body: error 400: config operation cannot be empty");
  expect(() => changesOf([operation("teleport", "now")])).toThrow(
    "Invalid request body: error 400: operation now not supported on group teleport",
  );
  expect(() => changesOf([operation("time", "set", "on")])).toThrow("error 400: invalid operation set");
});

it("answers a bad value inside the list", () =>
  expect(actionOf("machine", "rename", "../x")).toMatchObject({ error: expect.stringContaining("name starts with") }));
