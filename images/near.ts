/**
 * What a pull may have of its neighbours: hosts nearby that have the image, or fetch it at the same time.
 *
 * Chunks are named by their row number in the tree, which all who know the digest share. Nobody is believed: whatever a neighbour sends is hashed like what
 * comes from the store, and what it does not send comes from there.
 */
import { rowCount, rowHash, rowIndex, treeFiles, type FileEntry, type Tree } from "./tree.ts";

/** Which rows somebody has: one bit each. */
export interface Rows {
  has(row: number): boolean;
  readonly count: number;
}

/** What a neighbour that fetches tells of itself. */
export interface Told {
  readonly rows: Rows;
  /** The marks of the parts that it takes from the store at this moment: whoever waits a little has them from it. */
  readonly taking: readonly number[];
}

export interface Neighbour {
  readonly id: string;
  /** Asked again while the neighbour fetches by itself; "none": it neither has the image nor fetches it at the moment. */
  rows(signal: AbortSignal): Promise<Told | "all" | "none">;
  /** The chunks of these rows one after the other, each compressed or plain, with their lengths; 0 for what it does not have. "busy": ask again soon. */
  read(rows: readonly number[], signal: AbortSignal): Promise<Sent | "busy">;
}

export interface Sent {
  readonly lengths: readonly number[];
  readonly body: Uint8Array<ArrayBuffer>;
}

/** What one transfer has and takes from the store, as it goes: its neighbours are told. */
export interface Own {
  readonly rows: RowSet;
  readonly taking: Set<number>;
}

/** The way to the neighbours of one transfer. */
export interface Near {
  /** This host among its neighbours. */
  readonly id: string;
  /** Who there is now: the list changes while the transfer runs. */
  neighbours(): readonly Neighbour[];
  /** The tree is known from now on, and what of it is here: others may ask for that. */
  begin(tree: Tree, own: Own): void;
}

export interface RowSet extends Rows {
  readonly rows: number;
  add(row: number): void;
  readonly bits: Uint8Array;
}

export function rowSet(rows: number, bits = new Uint8Array(Math.ceil(rows / 8))): RowSet {
  let count = 0;
  for (let row = 0; row < rows; row++) if (bitOf(bits, row)) count++;
  return {
    rows,
    bits,
    get count() {
      return count;
    },
    has: (row) => bitOf(bits, row),
    add: (row) => {
      if (row >= rows || bitOf(bits, row)) return;
      bits[row >> 3] = (bits[row >> 3] ?? 0) | (1 << (row & 7));
      count++;
    },
  };
}

const bitOf = (bits: Uint8Array, row: number): boolean => ((bits[row >> 3] ?? 0) & (1 << (row & 7))) !== 0;

export interface RowPlace {
  readonly file: FileEntry;
  readonly index: number;
  readonly hash: Buffer;
}

/** Finds the chunk that a row number names; `null` for one that the tree does not have. */
export function rowFinder(tree: Tree): { readonly rows: number; find(row: number): RowPlace | null } {
  const files = treeFiles(tree).filter((file) => file.rows.byteLength > 0);
  const firsts: number[] = [];
  let rows = 0;
  for (const file of files) {
    firsts.push(rows);
    rows += rowCount(file.rows);
  }
  const find = (row: number): RowPlace | null => {
    if (!Number.isInteger(row) || row < 0 || row >= rows) return null;
    let [low, high] = [0, files.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((firsts[middle] ?? 0) <= row) low = middle;
      else high = middle - 1;
    }
    const file = files[low];
    if (!file) return null;
    const own = row - (firsts[low] ?? 0);
    return { file, index: rowIndex(file.rows, own), hash: rowHash(file.rows, own) };
  };
  return { rows, find };
}
