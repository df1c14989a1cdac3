/**
 * One round of the crash tests in which nothing dies and connections go bad instead, while pushes, pulls, provisions and retires are under way.
 *
 * The one idea: what is struck, how and when is chance with a seed; what must hold afterwards is what must hold after a crash.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Random } from "../crash/random.ts";
import { runRound, type Stage } from "../crash/round.ts";
import type { Connection, LinedFleet } from "./fleet.ts";
import type { LineFault } from "./line.ts";

export interface Strike {
  readonly connection: Connection;
  readonly fault: LineFault;
  /** Connections that were open and hit. */
  readonly hit: number;
}
export interface StruckRound {
  readonly strikes: readonly Strike[];
  readonly wrong: readonly string[];
  readonly operations: number;
  /** The longest that an operation took. */
  readonly longestMs: number;
}
export interface StrikePlan {
  readonly stage: Stage;
  readonly of: readonly { readonly connection: Connection; readonly fault: LineFault }[];
  /** All strikes fall into this time. */
  readonly withinMs: number;
  readonly random: Random;
}

export async function struckRound(lined: LinedFleet, { stage, of, withinMs, random }: StrikePlan): Promise<StruckRound> {
  const began = performance.now();
  const timed = of.map((one) => ({ ...one, atMs: random.between(300, withinMs) })).toSorted((a, b) => a.atMs - b.atMs);
  const striking = async () => {
    const strikes: Strike[] = [];
    for (const { connection, fault, atMs } of timed) {
      await delay(Math.max(0, atMs - (performance.now() - began)));
      strikes.push({ connection, fault, hit: lined.strike(connection, fault, random) });
    }
    return strikes;
  };
  const [round, strikes] = await Promise.all([
    runRound(stage, { kills: [], askAtMs: () => random.between(0, withinMs / 2), random }),
    striking(),
  ]);
  return { strikes, wrong: round.wrong, operations: round.asks.length, longestMs: Math.max(...round.livedMs.map(({ ms }) => ms)) };
}
