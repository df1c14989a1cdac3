/**
 * Two row tables side by side: what a file has, and what it should have.
 *
 * Both are sorted by index, so one walk over the two says which chunks are missing, which must become zero, and how much is alike.
 */
import { rowCount, rowHash, rowIndex } from "./tree.ts";

export interface RowDifference {
  /** Row numbers of the wanted table whose chunk is not there. */
  readonly missing: readonly number[];
  /** Chunk indexes that hold data and should be zero. */
  readonly excess: readonly number[];
}

export function compareRows(present: Buffer, wanted: Buffer): RowDifference {
  const missing: number[] = [];
  const excess: number[] = [];
  let [p, w] = [0, 0];
  while (p < rowCount(present) || w < rowCount(wanted)) {
    const have = p < rowCount(present) ? rowIndex(present, p) : Infinity;
    const want = w < rowCount(wanted) ? rowIndex(wanted, w) : Infinity;
    if (have < want) {
      excess.push(have);
      p++;
    } else if (want < have) missing.push(w++);
    else if (rowHash(present, p++).equals(rowHash(wanted, w))) w++;
    else missing.push(w++);
  }
  return { missing, excess };
}

/** How many rows of `wanted` stand in `present` too. */
export const alike = (present: Buffer, wanted: Buffer): number => rowCount(wanted) - compareRows(present, wanted).missing.length;
