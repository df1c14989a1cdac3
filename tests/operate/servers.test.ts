/**
 * PostgreSQL killed, and taken away for a while, in the middle of a push, a provisioning and a retire: each operation ends right by itself, and whoever asks
 * meanwhile is told to ask again.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { host, openBusyStack, type Busy } from "./busy.ts";
import { openTerminal, type Terminal } from "./terminal.ts";

const section = "The database was restarted";

let busy: Busy;
let terminal: Terminal;

beforeAll(async () => {
  busy = await openBusyStack();
  terminal = await openTerminal(busy.stack);
}, 180_000);
afterAll(() => busy?.close(), 60_000);

describe("a PostgreSQL that dies", () => {
  it("costs no operation: each goes on where it was", async () => {
    const operations = await busy.inTheMiddle("1");
    busy.database.kill();
    await busy.expectDone(operations, "1");
  }, 240_000);

  it("is told to whoever asks while it is away, and what runs waits for it", async () => {
    const { stack, database } = busy;
    const { url } = stack.client.session;
    const headers = await stack.client.session.headers();
    const operations = await busy.inTheMiddle("2");
    await database.stop();
    await terminal.type(section, "drover operation list");
    await terminal.type(section, `curl -s ${url}/readyz`);
    const answer = await fetch(`${url}/api/v2/operations`, { headers });
    expect([answer.status, Number(answer.headers.get("retry-after"))]).toEqual([503, 2]);
    expect(await answer.json()).toMatchObject({ code: "hub_unavailable", message: "The hub's database does not answer." });
    await database.start();
    await busy.expectDone(operations, "2");
    await expect.poll(() => stack.json("host", "show", host), { timeout: 60_000 }).toMatchObject({ state: "online" });
  }, 240_000);
});
