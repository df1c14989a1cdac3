/**
 * What a benchmark tells: one table for people, and the same rows as one last line of JSON for programs.
 *
 * The ratio always reads one way, above 1 we are better, so that nobody has to know which numbers should be small.
 */
import Table from "cli-table3";

export interface Row {
  readonly what: string;
  readonly ours: number;
  readonly unit: string;
  readonly peer: string | null;
  readonly theirs: number | null;
  readonly ratio: number | null;
}

export interface Peer {
  readonly name: string;
  readonly value: number;
}

/** A row whose numbers are better the smaller they are: times and sizes. */
export function smallerIsBetter(what: string, ours: number, unit: string, peer: Peer | null): Row {
  const common = { what, ours: rounded(ours), unit };
  if (!peer) return { ...common, peer: null, theirs: null, ratio: null };
  return { ...common, peer: peer.name, theirs: rounded(peer.value), ratio: rounded(peer.value / ours) };
}

export function printTable(rows: readonly Row[], remarks: readonly string[]): void {
  const table = new Table({
    head: ["what", "ours", "unit", "peer", "theirs", "ratio (above 1: ours is better)"],
    style: { head: [], border: [] },
    chars: { mid: "", "left-mid": "", "mid-mid": "", "right-mid": "" },
  });
  for (const { what, ours, unit, peer, theirs, ratio } of rows) table.push([what, ours, unit, peer ?? "-", theirs ?? "-", ratio ?? "-"]);
  process.stdout.write(`${table.toString()}\n`);
  for (const remark of remarks) process.stdout.write(`${remark}\n`);
}

/** The last line of a benchmark with `--json`. */
export const printJson = (rows: readonly Row[]): void => void process.stdout.write(`${JSON.stringify({ rows })}\n`);

function rounded(number: number): number {
  return Number(number.toPrecision(4));
}
