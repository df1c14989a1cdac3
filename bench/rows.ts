/**
 * The rows of the table and what each promises, from what was measured.
 *
 * The promises are those of `docs/image-engine.md`; a row without a peer of its own is held against an earlier row.
 */
import type { Measured, Step } from "./measure.ts";
import { smallerIsBetter, type Bar, type Peer, type Row } from "./table.ts";

const mebibyte = 1024 * 1024;
const memoryLimitMebibytes = 400;

export interface Place {
  /** `folder`, `s3`, `XFS`: told in each row. */
  readonly name: string;
  readonly gib: number;
  /** Told in the names of the peers. */
  readonly suffix: string;
  /** The host's file system clones files. */
  readonly clones: boolean;
}

type Look = (what: string) => Step;

export function rowsOf(place: Place, { steps, changed }: Measured): Row[] {
  const look: Look = (what) => {
    const step = steps.get(what);
    if (!step) throw new Error(`The step ${what} was not measured.`);
    return step;
  };
  return [...pushRows(place, look, changed.packedBytes), ...pullRows(place, look), memoryRow(place, steps)];
}

const secondsRow = ({ name, gib }: Place, what: string, { ours }: Step, peer: Peer | null, bar: Bar | null = null): Row =>
  smallerIsBetter(`${what}, ${name}, ${gib} GiB`, ours.seconds, "s", peer, bar);

const bytesRow = ({ name, gib }: Place, what: string, bytes: number, peer: Peer, leastRatio: number): Row =>
  smallerIsBetter(`${what}, ${name}, ${gib} GiB`, bytes / mebibyte, "MiB", { ...peer, value: peer.value / mebibyte }, { leastRatio });

function pushRows(place: Place, look: Look, changedBytes: number): Row[] {
  const name = `tar -S | zstd -3 -T0${place.suffix}`;
  const first = look("first push");
  const packed = { name, value: first.theirs?.seconds ?? 0 };
  const own = { name: "our first push", value: first.ours.seconds };
  const delta = look("delta push");
  return [
    secondsRow(place, "first push", first, packed, { leastRatio: 1 }),
    bytesRow(place, "first push, stored", first.ours.storedBytes, { name, value: first.theirs?.storedBytes ?? 0 }, 1 / 1.06),
    secondsRow(place, "first push, adaptive", look("first push, adaptive"), packed),
    secondsRow(
      place,
      "first push, line",
      look("first push, line"),
      { name: "our first push, and the line's own time", value: first.ours.seconds },
      { leastRatio: 1 / 1.2 },
    ),
    secondsRow(place, "push again", look("push again"), own, { leastRatio: 20 }),
    secondsRow(place, "push again, --verify", look("push again, --verify"), own),
    secondsRow(place, "delta push", delta, own, { leastRatio: 3 }),
    bytesRow(place, "delta push, moved", delta.ours.movedBytes, { name: "zstd -3 of what changed", value: changedBytes }, 1 / 1.3),
  ];
}

function pullRows(place: Place, look: Look): Row[] {
  const pull = look("pull");
  const provision = look("provision");
  const copied = { name: "cp --sparse=always", value: provision.theirs?.seconds ?? 0 };
  const delta = look("delta pull");
  const seed = { name: "cp --sparse=always of the seed, sync", value: delta.theirs?.settledSeconds ?? 0 };
  const unpacked = { name: `${place.suffix && "S3 | "}zstd -d | tar -xS`, value: pull.theirs?.seconds ?? 0 };
  return [
    secondsRow(place, "pull", pull, unpacked, { leastRatio: 1 }),
    secondsRow(place, "delta pull", delta, { name: "our pull", value: pull.ours.seconds }, { leastRatio: 4 }),
    ...(place.clones ? [] : [secondsRow(place, "delta pull, of a copied seed", delta, seed, { leastRatio: 1 })]),
    secondsRow(place, place.clones ? "provision (clone)" : "provision (copy)", provision, copied, { leastRatio: 1 }),
  ];
}

/** The most that any step took, of ours and of the peers'. */
function memoryRow({ name, gib, suffix }: Place, steps: ReadonlyMap<string, Step>): Row {
  const most = (of: (step: Step) => number) => Math.max(...[...steps.values()].map(of)) / mebibyte;
  const theirs = most((step) => step.theirs?.peakBytes ?? 0);
  const peer = theirs === 0 ? null : { name: `tar -S | zstd -3 -T0${suffix}`, value: theirs };
  const ours = most((step) => step.ours.peakBytes);
  return smallerIsBetter(`peak memory, ${name}, ${gib} GiB`, ours, "MiB", peer, { below: memoryLimitMebibytes });
}

export function remarksOf({ name }: Place, { steps, changed, how }: Measured): string[] {
  const each = (tell: (step: Step) => string) => [...steps].map(([what, step]) => `${what} ${tell(step)}`).join(", ");
  const mib = (bytes = 0) => `${(bytes / mebibyte).toFixed(1)} MiB`;
  return [
    `${name}: ${how}; ${mib(changed.bytes)} of clusters of 1 MiB differ. The delta pull fetched ${mib(steps.get("delta pull")?.ours.movedBytes)}, the adaptive level stored ${mib(steps.get("first push, adaptive")?.ours.storedBytes)}.`,
    `${name}: until the peer's bytes were on the disk too, seconds: ${[...steps].flatMap(([what, { theirs }]) => (theirs ? [`${what} ${theirs.settledSeconds.toFixed(2)}`] : [])).join(", ")}.`,
    `${name}: processors busy on average: ${each(({ ours }) => (ours.cpuSeconds / ours.seconds).toFixed(2))}.`,
    `${name}: peak memory in MiB: ${each(({ ours }) => String(Math.round(ours.peakBytes / mebibyte)))}.`,
  ];
}
