/** Facts for the rules of pools: an idle machine and an empty pool, and what differs from them. */
import type { Pooled, PoolFacts } from "../../domain/pools/rules.ts";

export const start = Date.parse("2026-01-01T00:00:00Z");

export const waiting = (more: Partial<Pooled> = {}): Pooled => ({
  machineId: crypto.randomUUID(),
  desired: "running",
  observed: "running",
  isDrifted: false,
  underWay: [],
  isDue: false,
  isTouched: false,
  isSwitchedOff: false,
  isLeased: false,
  isHostSilent: false,
  lacking: null,
  isCurrent: true,
  madeAt: new Date(start),
  ...more,
});
export const factsOf = (more: Partial<PoolFacts> = {}): PoolFacts => ({
  minimumIdle: 2,
  maximum: 4,
  idleState: "running",
  isEnding: false,
  endsLeases: false,
  machines: [],
  makings: [],
  refused: null,
  now: new Date(start),
  ...more,
});
