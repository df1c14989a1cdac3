/**
 * What a benchmark tells: one table for people, and the same rows as one last line of JSON for programs.
 *
 * The ratio always reads one way, above 1 we are better, so that nobody has to know which numbers should be small. A bar is a least ratio, or a most value.
 */
import { cpus, loadavg, totalmem } from "node:os";
import Table from "cli-table3";

export interface Row {
  readonly what: string;
  readonly ours: number;
  readonly unit: string;
  readonly peer: string | null;
  readonly theirs: number | null;
  readonly ratio: number | null;
  /** What was promised, in words; null where nothing was. */
  readonly bar: string | null;
  readonly held: boolean | null;
}

export interface Peer {
  readonly name: string;
  readonly value: number;
}

/** A promise: a ratio that must be reached, or a value that must stay below. */
export type Bar = { readonly leastRatio: number } | { readonly below: number };

/** A row whose numbers are better the smaller they are: times and sizes. */
export function smallerIsBetter(what: string, ours: number, unit: string, peer: Peer | null, bar: Bar | null = null): Row {
  const common = { what, ours: rounded(ours), unit };
  const compared = peer
    ? { peer: peer.name, theirs: rounded(peer.value), ratio: rounded(peer.value / ours) }
    : { peer: null, theirs: null, ratio: null };
  if (!bar) return { ...common, ...compared, bar: null, held: null };
  if ("below" in bar) return { ...common, ...compared, bar: `below ${bar.below} ${unit}`, held: ours < bar.below };
  return { ...common, ...compared, bar: `ratio ${rounded(bar.leastRatio)}`, held: peer !== null && peer.value / ours >= bar.leastRatio };
}

/** A row whose numbers are better the larger they are: rates. */
export function largerIsBetter(what: string, ours: number, unit: string, peer: Peer, leastRatio: number | null): Row {
  const ratio = ours / peer.value;
  const promised = leastRatio === null ? { bar: null, held: null } : { bar: `ratio ${rounded(leastRatio)}`, held: ratio >= leastRatio };
  return { what, ours: rounded(ours), unit, peer: peer.name, theirs: rounded(peer.value), ratio: rounded(ratio), ...promised };
}

/** What the figures were taken on, and how busy it was. */
export const onWhat = (): string =>
  `${cpus().length} cores (${cpus()[0]?.model}), ${Math.round(totalmem() / 2 ** 30)} GiB, ${process.platform} ${process.arch}; load ${loadavg()[1]?.toFixed(1)}.`;

export function printTable(rows: readonly Row[], remarks: readonly string[]): void {
  const table = new Table({
    head: ["what", "ours", "unit", "against", "theirs", "ratio (above 1: ours is better)", "bar", ""],
    style: { head: [], border: [] },
    chars: { mid: "", "left-mid": "", "mid-mid": "", "right-mid": "" },
  });
  for (const { what, ours, unit, peer, theirs, ratio, bar, held } of rows)
    table.push([what, ours, unit, peer ?? "-", theirs ?? "-", ratio ?? "-", bar ?? "-", held === null ? "" : held ? "held" : "MISSED"]);
  process.stdout.write(`${table.toString()}\n`);
  for (const remark of remarks) process.stdout.write(`${remark}\n`);
}

/** The last line of a benchmark with `--json`. */
export const printJson = (rows: readonly Row[]): void => void process.stdout.write(`${JSON.stringify({ rows })}\n`);

function rounded(number: number): number {
  return Number(number.toPrecision(4));
}
