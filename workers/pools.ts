/** How the hub worker keeps pools: what their workflows ask for, bound to what starts operations. */
import { settlePool } from "../control/pools.ts";
import type { Control } from "../control/start.ts";
import type { PoolActivities } from "../workflows/pools/keep.ts";

export const poolActivities = (control: Control): PoolActivities => ({ settlePool: ({ poolId }) => settlePool(control, poolId) });
