/**
 * Keeps a pool, as long as there is one: it has the hub look at the rows, sleeps, and looks again when it is woken or the time has come.
 *
 * The one idea: it knows nothing. What there should be and what there is are rows, so one that was ended in the web UI is started anew and nothing is lost with it.
 */
import { condition, continueAsNew, defineSignal, setCurrentDetails, setHandler, workflowInfo } from "@temporalio/workflow";
import { quick } from "../proxies.ts";
import { nameActivities } from "../shown.ts";

export interface KeepPoolInput {
  readonly interfaceVersion: 1;
  readonly poolId: string;
  /** For people. */
  readonly pool: string;
}

/** `words` tell operators how it stands. */
export interface Settled {
  /** Null: the pool is gone. */
  readonly againMs: number | null;
  readonly words: string;
}

export interface PoolActivities {
  /** Asks for what is missing, ends what is too much. Asked again, it does what is still to do. */
  settlePool(input: { poolId: string }): Promise<Settled>;
}

export const wakeSignal = defineSignal("wake");
/** A look costs some eight events: a thousand of them are a day of a quiet pool, and read in a moment. */
const longestHistory = 8_000;

export async function keepPool(input: KeepPoolInput): Promise<void> {
  const { poolId, pool } = input;
  let isWoken = false;
  setHandler(wakeSignal, () => void (isWoken = true));
  nameActivities("settle", pool);
  const hub = quick<PoolActivities>();
  for (;;) {
    isWoken = false;
    const { againMs, words } = await hub.settlePool({ poolId });
    setCurrentDetails(`**${pool}**\n\n${words}`);
    if (againMs === null) return;
    await condition(() => isWoken, againMs);
    const { continueAsNewSuggested, historyLength } = workflowInfo();
    if (continueAsNewSuggested || historyLength > longestHistory) await continueAsNew<typeof keepPool>(input);
  }
}
