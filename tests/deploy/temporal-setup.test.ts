/** Guarantees of a prepared namespace, on a real server: whole after one call, unchanged by another, mended after someone else's change. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Connection } from "@temporalio/client";
import proto from "@temporalio/proto";
import { afterAll, beforeAll, expect, inject, it, onTestFinished } from "vitest";
import { temporalTarget } from "../../deploy/temporal-connection.ts";
import { searchAttributes, setupCommands, setupNamespace } from "../../deploy/temporal-setup.ts";

const week = 7 * 24 * 60 * 60;
const namespace = `setup-${crypto.randomUUID()}`;
let connection: Connection;

beforeAll(async () => {
  connection = await Connection.connect({ address: inject("temporalAddress") });
});
afterAll(() => connection.close());

const retention = async (name: string) =>
  Number((await connection.workflowService.describeNamespace({ namespace: name })).config?.workflowExecutionRetentionTtl?.seconds);

it("makes a namespace with a week of retention and all search attributes, once", async () => {
  expect(await setupNamespace(connection, namespace)).toHaveLength(1 + searchAttributes.length);
  expect(await retention(namespace)).toBe(week);
  expect(await setupNamespace(connection, namespace)).toEqual([]);
}, 40_000);

it("brings back the retention that someone changed", async () => {
  const workflowExecutionRetentionTtl = proto.google.protobuf.Duration.fromObject({ seconds: 24 * 60 * 60 });
  await connection.workflowService.updateNamespace({ namespace, config: { workflowExecutionRetentionTtl } });
  expect(await setupNamespace(connection, namespace)).toEqual([`The namespace ${namespace} now keeps 7 days.`]);
  expect(await retention(namespace)).toBe(week);
}, 40_000);

it("finds the embedded server's namespace prepared by its start", async () => {
  expect(await retention("drover")).toBe(week);
});

it("prints the same as commands", () => {
  expect(setupCommands("ci", "t.example.com:7233")).toContain(
    "temporal operator search-attribute create --namespace ci --address t.example.com:7233 --name DroverParked --type Keyword",
  );
});

it("reads the connection as Temporal's own tools do, with our namespace where none is named", async () => {
  const folder = await mkdtemp(join(tmpdir(), "drover-temporal-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const file = { TEMPORAL_CONFIG_FILE: join(folder, "temporal.toml") };
  await writeFile(file.TEMPORAL_CONFIG_FILE, '[profile.default]\naddress = "file.example.com:7233"\n');
  expect(temporalTarget(file)).toMatchObject({ options: { address: "file.example.com:7233" }, namespace: "drover" });
  expect(temporalTarget({ ...file, TEMPORAL_ADDRESS: "t.example.com:7233" })).toMatchObject({
    options: { address: "t.example.com:7233" },
    namespace: "drover",
  });
  expect(temporalTarget({ ...file, TEMPORAL_NAMESPACE: "mine", TEMPORAL_API_KEY: "k" })).toMatchObject({
    options: { apiKey: "k" },
    namespace: "mine",
  });
  expect(() => temporalTarget({ TEMPORAL_CONFIG_FILE: "/nowhere/temporal.toml", TEMPORAL_PROFILE: "x" })).toThrow(
    "Temporal's configuration file",
  );
});
