/** What the hub answers, and what becomes of it here. */
import { describe, expect, it } from "vitest";
import { faultOf, pathOf, reasonOf } from "./client.ts";
import { Host, ImageVersion, Machine, Operation, OperationDetail } from "./wire.ts";

const at = "2026-01-02T03:04:05.678Z";
const id = "019a9f3c-5d7e-7c1b-9a55-0d7f6d1f2a10";
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
  onFault: "park",
  workflowId: `push/ubuntu/${id}`,
  createdAt: at,
  startedAt: at,
  endedAt: null,
  fault: null,
  result: null,
};

describe("answers of the hub", () => {
  it("become dates where the vocabulary has dates, nulls included", () => {
    const parsed = Operation.parse(operation);
    expect(parsed.createdAt).toEqual(new Date(at));
    expect(parsed.endedAt).toBeNull();
  });

  it("become dates in the steps of an operation too", () => {
    const step = {
      name: "upload",
      position: 3,
      state: "running",
      attempt: 1,
      startedAt: at,
      endedAt: null,
      progress: { doneBytes: 1, totalBytes: 2 },
      fault: null,
    };
    const parsed = OperationDetail.parse({ ...operation, steps: [step] });
    expect(parsed.steps[0]?.startedAt).toEqual(new Date(at));
    expect(parsed).toMatchObject({ progress: null, temporalUrl: null });
  });

  it("keep what a newer hub adds out of sight, and refuse what is not there", () => {
    expect(Operation.parse({ ...operation, colour: "red" })).not.toHaveProperty("colour");
    expect(Operation.safeParse({ ...operation, createdAt: "yesterday" }).success).toBe(false);
    for (const schema of [Host, ImageVersion, Machine]) expect(schema.safeParse({}).success).toBe(false);
  });

  it("bring a fault with its code, remedy and request", () => {
    const told = { code: "machine_busy", message: "web-1 is busy.", remedy: "Wait.", requestId: "r1", details: { operationId: id } };
    const fault = faultOf({ status: 409, url: "http://hub" }, told);
    expect(fault).toEqual({
      code: "machine_busy",
      message: "web-1 is busy.",
      details: { operationId: id, requestId: "r1", remedy: "Wait." },
    });
  });

  it("keep the name of a code that only a newer hub knows", () => {
    const fault = faultOf({ status: 409, url: "http://hub" }, { code: "lease_over", message: "Over.", remedy: "" });
    expect(fault).toEqual({ code: "internal", message: "Over.", details: { code: "lease_over", status: 409 } });
  });

  it("that are no hub's say so and name the address", () => {
    const fault = faultOf({ status: 502, url: "http://proxy/api/v2/hosts" }, undefined);
    expect(fault.message).toBe("http://proxy/api/v2/hosts answered with status 502 and not as a hub does.");
  });

  it("are asked for by names with any character in them", () =>
    expect(pathOf("machines", "a/b ü?", "actions")).toBe("/machines/a%2Fb%20%C3%BC%3F/actions"));

  it("that never come are told by the reason below the reason", () => {
    const refused = Object.assign(new Error("connect ECONNREFUSED 127.0.0.1:1"), { code: "ECONNREFUSED" });
    expect(reasonOf(new TypeError("fetch failed", { cause: refused }))).toBe("ECONNREFUSED");
    expect(reasonOf(new TypeError("fetch failed", { cause: new AggregateError([refused]) }))).toBe("ECONNREFUSED");
  });
});
