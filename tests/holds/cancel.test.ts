/** A cancelled operation ends within 5 s, wherever it is, and leaves nothing: the steps that have something of their own to undo or to kill. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { pathOf } from "../../cli/client.ts";
import { exitCodes } from "../../cli/exit-codes.ts";
import { Operation, OperationDetail } from "../../cli/wire.ts";
import { cancelIn, openWorld, scenarios, type World } from "./cancelling.ts";
import { pushFromOwn } from "./own-push.ts";

/** Promised for a live host. */
const withinMs = 5_000;

let world: World;
beforeAll(async () => {
  world = await openWorld();
}, 180_000);
afterAll(() => world?.close(), 60_000);

it.each(scenarios.filter(({ often }) => often))(
  "ends in time and leaves nothing: $name",
  async (scenario) => {
    const { outcome, tookMs } = await cancelIn(world, scenario);
    expect(outcome).toBe(scenario.outcome ?? "cancelled");
    expect(tookMs).toBeLessThan(withinMs);
  },
  180_000,
);

describe("a push from the caller's own computer", () => {
  const ended = (id: string) => world.stack.client.get(pathOf("operations", id, "wait"), OperationDetail, { query: { timeout: 60 } });

  it.each([
    {
      how: "by Ctrl-C of its command",
      name: "interrupted",
      cancel: async (_: string, kill: (signal: NodeJS.Signals) => void) => kill("SIGINT"),
    },
    {
      how: "from elsewhere",
      name: "recalled",
      cancel: async (id: string) => void (await world.stack.client.send("POST", pathOf("operations", id, "cancel"), Operation)),
    },
  ])(
    "is cancelled in time $how, and its command says so",
    async ({ name, cancel }) => {
      try {
        const { operationId, kill, ended: exited } = await pushFromOwn(world, name);
        const asked = performance.now();
        await cancel(operationId, kill);
        expect((await ended(operationId)).state).toBe("cancelled");
        expect(performance.now() - asked).toBeLessThan(withinMs);
        expect(await exited).toBe(exitCodes.cancelled.code);
      } finally {
        world.way.mend();
      }
    },
    180_000,
  );

  it("keeps its worker for what comes on its way while a signal is handled: no other than its own are", async () => {
    try {
      const { operationId, kill, ended: exited } = await pushFromOwn(world, "quit");
      kill("SIGQUIT");
      expect(await exited).toBe("SIGQUIT");
      await world.stack.client.send("POST", pathOf("operations", operationId, "cancel"), Operation);
      expect((await ended(operationId)).state).toBe("cancelled");
    } finally {
      world.way.mend();
    }
  }, 180_000);
});
