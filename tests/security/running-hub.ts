/** Keys of a hub that runs: they change under operations that are under way, and nobody notices. */
import { mkdtemp, readFile, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as after } from "node:timers/promises";
import { Client, Connection } from "@temporalio/client";
import { describe, expect, it } from "vitest";
import { pathOf } from "../../cli/client.ts";
import { Operation, Output } from "../../cli/wire.ts";
import { keyTools } from "../../deploy/keys.ts";
import { readConfig } from "../../domain/config/schema.ts";
import { unwrap } from "../../domain/errors.ts";
import { freshMs } from "../../security/key-ring.ts";
import { operationUntil, settled } from "../e2e/faults.ts";
import type { TestStack } from "../e2e/stack.ts";

interface Shown {
  masterKey: { id: string; from: string };
  keys: { id: string; purpose: string; current: boolean }[];
}

export function describeRunningHub(stackOf: () => TestStack, machineOf: () => string): void {
  const shown = async (): Promise<Shown> => JSON.parse((await stackOf().drover("key", "show", "--json")).stdout) as Shown;
  const execute = async (script: string) => {
    const body = { verb: "execute", script, environment: {}, timeoutSeconds: 60 };
    return stackOf().client.send("POST", pathOf("machines", machineOf(), "actions"), Operation, { body });
  };

  describe("the keys of a hub that runs", () => {
    it("change while an operation is under way: it ends well, and everything new carries the new key", async () => {
      const stack = stackOf();
      const before = await shown();
      const running = await execute("sleep 6; echo done");
      await operationUntil(stack, running.id, ({ steps }) => steps.some(({ state }) => state === "running"));
      const rotated = await stack.drover("key", "rotate", "--master", "--payload", "--signing", "--json");
      expect(rotated.code, rotated.stderr).toBe(0);
      const now = await keysOf(stack).show();
      expect(now.masterKey.id).not.toBe(before.masterKey.id);
      const [payload] = now.keys.filter(({ purpose, current }) => purpose === "payload" && current);
      const old = before.keys.map(({ id }) => id);
      expect(old).not.toContain(payload?.id);
      expect(await settled(stack, running.id, 60_000)).toMatchObject({ state: "done" });
      await after(freshMs);
      const later = await execute("echo later");
      expect(await settled(stack, later.id, 60_000)).toMatchObject({ state: "done" });
      expect(new Set(await payloadKeys(stack, later.workflowId))).toEqual(new Set([payload?.id]));
      const lines = await stack.client.get(`${pathOf("operations", running.id)}/output`, Output);
      expect(lines.items.map(({ text }) => text).join("")).toBe("done\n");
    }, 180_000);

    it("can be carried away and back: a file of mode 0600 whose key the database proves", async () => {
      const stack = stackOf();
      const file = join(await mkdtemp(join(tmpdir(), "drover-export-")), "master.key");
      const exported = await stack.drover("key", "export", "--to", file, "--json");
      expect(exported.code, exported.stderr).toBe(0);
      expect((await stat(file)).mode & 0o777).toBe(0o600);
      expect(exported.stdout).not.toContain((await readFile(file, "utf8")).trim());
      expect((await stack.drover("key", "export", "--to", file)).code).toBe(2);
      const imported = await stack.drover("key", "import", file, "--json");
      expect(JSON.parse(imported.stdout)).toMatchObject({ id: (await keysOf(stack).show()).masterKey.id, proven: true });
    }, 180_000);

    it("are not given up while they work", async () => {
      const refused = await stackOf().drover("key", "forget", "--yes", "--json");
      expect(refused.code).toBe(5);
      expect(refused.stderr).toContain("master_key_works");
    }, 180_000);
  });
}

const keysOf = (stack: TestStack) => keyTools(unwrap(readConfig(stack.env)));

/** The key of each encrypted payload of a workflow, as the server has it. */
async function payloadKeys(stack: TestStack, workflowId: string): Promise<string[]> {
  const connection = await Connection.connect({ address: stack.env["TEMPORAL_ADDRESS"] ?? "" });
  const client = new Client({ connection, namespace: stack.env["TEMPORAL_NAMESPACE"] ?? "" });
  const { events } = await client.workflow.getHandle(workflowId).fetchHistory();
  await connection.close();
  const text = JSON.stringify(events, (key, value: unknown) => (key === "encryption-key-id" ? keyId(value) : value));
  return [...text.matchAll(/"encryption-key-id":"([^"]+)"/g)].map(([, id = ""]) => id);
}

/** Bytes come as themselves, or as what JSON makes of a Buffer. */
function keyId(value: unknown): string {
  if (typeof value === "string") return Buffer.from(value, "base64").toString();
  const bytes = typeof value === "object" && value !== null && "data" in value ? value.data : value;
  return Buffer.from(Object.values(bytes as Record<string, number>)).toString();
}
