/** Commands in a guest: whole and in order what they print, their own exit code, and no trace of what they were told. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { Client, Connection } from "@temporalio/client";
import postgres from "postgres";
import { beforeAll, describe, expect, it } from "vitest";
import { pathOf } from "../../../cli/client.ts";
import { Operation } from "../../../cli/wire.ts";
import type { MachineAction } from "../../../domain/machines/schema.ts";
import { controlSimulator } from "../../../parallels/simulator/control.ts";
import { decide } from "../faults.ts";
import { stack, simulator, mebibyte, work, request, act, done, seen, until, outputOf } from "./world.ts";

export const describeGuest = () =>
  describe("commands in the guest", () => {
    const execute = (script: string, options: Partial<Extract<MachineAction, { verb: "execute" }>> = {}) =>
      act("work", { verb: "execute", script, environment: {}, timeoutSeconds: 60, ...options });

    beforeAll(async () => {
      await act("work", { verb: "start" });
      await until("the guest takes sessions", async () => (await seen(work.id))?.tools.state === "installed");
    }, 180_000);

    it("end with their own exit code and print where they print, in order and to the end", async () => {
      const ran = await stack.drover(
        "machine",
        "exec",
        "work",
        "--",
        "i=0; while [ $i -lt 500 ]; do echo out $i; echo err $i >&2; i=$((i+1)); done; exit 7",
      );
      const lines = (word: string) => Array.from({ length: 500 }, (_, i) => `${word} ${i}\n`).join("");
      expect(ran).toEqual({ code: 7, stdout: lines("out"), stderr: lines("err") });
      const { result } = await execute("exit 255");
      expect(result).toMatchObject({ exitCode: 255, outputCut: false });
    }, 180_000);

    it("get their variables as they are: quotes, line breaks, Unicode", async () => {
      const value = `it's "quoted" $HOME \`id\`\nsecond line\t\\n Grüße 🐙`;
      const { id } = await execute(`printf %s "$VALUE"`, { environment: { VALUE: value } });
      expect(await outputOf(id)).toEqual({ stdout: value, stderr: "", cut: false });
    }, 180_000);

    it("may be scripts of 200 KB, and run as a user", async () => {
      const script = `${Array.from({ length: 4000 }, (_, i) => `# line ${i} ${"x".repeat(40)}`).join("\n")}\necho the end\n`;
      const { id, state } = await execute(script, { user: "builder" });
      expect(script.length).toBeGreaterThan(200_000);
      expect([state, (await outputOf(id)).stdout]).toEqual(["done", "the end\n"]);
    }, 180_000);

    it("lose what is beyond 10 MiB of output, and say so; exactly what was printed before is kept", async () => {
      const { id, result } = await execute("yes 0123456789abcde | head -c 12582912");
      expect(result).toMatchObject({ exitCode: 0, outputCut: true });
      const { stdout, cut } = await outputOf(id);
      expect([stdout.length, cut]).toEqual([10 * mebibyte, true]);
      expect(stdout).toBe("0123456789abcde\n".repeat((10 * mebibyte) / 16));
    }, 180_000);

    it("are given up after their time limit, which does not count the wait for a session", async () => {
      const outcome = await execute("sleep 30", { timeoutSeconds: 1 });
      expect(outcome).toMatchObject({ state: "failed", fault: { code: "outcome_unknown", message: expect.stringContaining("1 s") } });
      const three = await Promise.all([1, 2, 3].map(() => execute("sleep 1.2; echo done", { timeoutSeconds: 2 })));
      expect(three.map(({ state }) => state)).toEqual(["done", "done", "done"]);
    }, 180_000);

    it("show their script and variables neither in the process list, nor in the database, nor in Temporal's history", async () => {
      const secret = `tr0ub4dor-${Math.random().toString(36).slice(2)}`;
      const { id, workflowId } = await request("work", {
        verb: "execute",
        script: `test ${secret}; sleep 1`,
        environment: { TOKEN: secret },
        timeoutSeconds: 30,
      });
      await until("the script runs", async () => (await processes()).includes("exec"));
      expect(await processes()).not.toContain(secret);
      expect((await done(id)).result).toMatchObject({ exitCode: 0 });
      expect(await rowOf(id)).not.toContain(secret);
      const history = await historyOf(workflowId);
      expect(history).toContain("actOnMachine");
      expect(history).not.toContain(secret);
      expect(history).not.toContain("exitCode");
    }, 180_000);

    it("park while the guest takes no session, and run when an operator says retry", async () => {
      controlSimulator(simulator, { toolsNeverUp: ["work"] });
      const { id } = await request("work", { verb: "execute", script: "echo once", environment: {}, timeoutSeconds: 30 });
      await until("the operation parks", async () => (await stack.client.get(pathOf("operations", id), Operation)).state === "parked");
      controlSimulator(simulator, { toolsNeverUp: false });
      await decide(stack, (await stack.client.get(pathOf("operations", id), Operation)).workflowId, "retry");
      expect((await done(id)).state).toBe("done");
      expect((await outputOf(id)).stdout).toBe("once\n");
    }, 180_000);
  });

async function processes(): Promise<string> {
  const { stdout } = await promisify(execFile)("ps", ["-eo", "args", "-ww"], { maxBuffer: 16 * mebibyte });
  return stdout;
}

async function rowOf(operationId: string): Promise<string> {
  const sql = postgres(stack.env["DATABASE_URL"] ?? "", { max: 1 });
  try {
    const rows =
      await sql`select o::text as row, (select string_agg(e::text, ' ') from events e) as events from operations o where id = ${operationId}`;
    return JSON.stringify(rows);
  } finally {
    await sql.end();
  }
}

/** The history as it lies at Temporal, payloads as they are stored. */
async function historyOf(workflowId: string): Promise<string> {
  const { TEMPORAL_ADDRESS: address = "", TEMPORAL_NAMESPACE: namespace = "" } = stack.env;
  const connection = await Connection.connect({ address });
  try {
    const history = await new Client({ connection, namespace }).workflow.getHandle(workflowId).fetchHistory();
    return JSON.stringify(history, (_, value: unknown) => (value instanceof Uint8Array ? Buffer.from(value).toString("latin1") : value));
  } finally {
    await connection.close();
  }
}
