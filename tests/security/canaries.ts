/**
 * Canaries: strings that nobody can guess, planted as secrets and looked for afterwards, in clear and in the usual disguises.
 *
 * The one idea: all canaries of a run begin alike, so one pass over any amount of bytes finds each of them; which one it was is asked only then.
 */
import { randomBytes } from "node:crypto";
import { lstat, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as after } from "node:timers/promises";

/** Bytes that somebody could read, and where they lie. */
export interface Found {
  readonly canary: string;
  readonly where: string;
  readonly disguise: string;
}

type Disguises = readonly { readonly disguise: string; readonly mark: Buffer }[];

export interface Canaries {
  /** A new canary. It passes for a password: 40 characters of all four kinds. */
  plant(name: string): string;
  /** Something that another program made and that is as secret; it is looked for as a whole. */
  know(name: string, secret: string | Uint8Array): void;
  readonly planted: ReadonlyMap<string, string>;
  find(where: string, bytes: Uint8Array | string): Found[];
}

export function canaries(): Canaries {
  const run = randomBytes(6).toString("hex");
  const planted = new Map<string, string>();
  const marks = disguises(Buffer.from(run));
  const known: Array<{ name: string; marks: Disguises }> = [];
  return {
    planted,
    plant: (name) => {
      if (planted.has(name)) throw new Error(`There is a canary ${name} already.`);
      const canary = `Aa1-${run}${randomBytes(12).toString("hex")}`;
      planted.set(name, canary);
      return canary;
    },
    know: (name, secret) => void known.push({ name, marks: disguises(Buffer.from(secret)) }),
    find: (where, given) => {
      const bytes = Buffer.from(given);
      const seen = marks.flatMap(({ disguise, mark }) => placesOf(bytes, mark).map((at) => ({ disguise, at })));
      return [
        ...seen.map(({ disguise, at }) => ({ canary: nameOf(bytes, at, disguise, planted), where, disguise })),
        ...known.flatMap(({ name, marks: theirs }) =>
          theirs.filter(({ mark }) => bytes.includes(mark)).map(({ disguise }) => ({ canary: name, where, disguise })),
        ),
      ];
    },
  };
}

/** Base64 depends on how many bytes stand before: what is the same whatever the neighbours are is looked for in each of the three ways. */
function disguises(plain: Buffer): Disguises {
  const base64 = [0, 1, 2].map((before) => {
    const text = Buffer.concat([Buffer.alloc(before), plain])
      .toString("base64")
      .replace(/=+$/, "");
    const whole = Math.floor(((before + plain.length) * 8) / 6);
    return text.slice(Math.ceil((before * 8) / 6), whole);
  });
  const words = [
    ["plain", plain.toString("latin1")],
    ["hex", plain.toString("hex")],
    ["HEX", plain.toString("hex").toUpperCase()],
    ...base64.map((text) => ["base64", text] as const),
    ...base64.map((text) => ["base64url", text.replaceAll("+", "-").replaceAll("/", "_")] as const),
    ["url", encodeURIComponent(plain.toString("latin1"))],
    ["json", JSON.stringify(plain.toString("latin1")).slice(1, -1)],
  ] as const;
  const distinct = new Map(words.toReversed().map(([disguise, word]) => [word, disguise]));
  const found = [...distinct].map(([word, disguise]) => ({ disguise, mark: Buffer.from(word, "latin1") }));
  return [...found, { disguise: "utf-16", mark: Buffer.from(plain.toString("latin1"), "utf16le") }];
}

function placesOf(bytes: Buffer, mark: Buffer): number[] {
  const places: number[] = [];
  for (let at = bytes.indexOf(mark); at >= 0 && places.length < 20; at = bytes.indexOf(mark, at + 1)) places.push(at);
  return places;
}

function nameOf(bytes: Buffer, at: number, disguise: string, planted: ReadonlyMap<string, string>): string {
  const near = bytes.subarray(Math.max(0, at - 8), at + 160).toString("latin1");
  if (disguise !== "plain") return `one near ${JSON.stringify(near)}`;
  return [...planted].find(([, canary]) => near.includes(canary.slice(4)))?.[0] ?? `part of one near ${JSON.stringify(near)}`;
}

/** Every file below a folder, but for the named ones; files that vanish meanwhile are gone. */
export async function filesOf(folder: string, without: (path: string) => boolean = () => false): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const found = await Promise.all(
    entries.map(async (entry) => {
      const path = join(folder, entry.name);
      if (without(path)) return [];
      return entry.isDirectory() ? filesOf(path, without) : entry.isFile() ? [path] : [];
    }),
  );
  return found.flat();
}

/** For each of those who look, what it finds. */
export async function findInFiles(where: string, paths: readonly string[], looking: readonly Pick<Canaries, "find">[]): Promise<Found[][]> {
  const found = looking.map((): Found[] => []);
  // One at a time: a database's log of changes has files of 16 MiB.
  for (const path of paths) {
    const size = (await lstat(path).catch(() => null))?.size ?? 0;
    const bytes = size === 0 ? Buffer.alloc(0) : await readFile(path).catch(() => Buffer.alloc(0));
    for (const [index, looked] of looking.entries()) found[index]?.push(...looked.find(`${where}: ${path}`, bytes));
  }
  return found;
}

/** A process shows the line of its parent until it has become its own program: it is looked at this often. */
const looksPerProcess = 4;

/** The command lines of all processes of this computer, until it is told to stop; each one that was ever seen. */
export function watchProcesses(): { stop(): Promise<string> } {
  const seen = new Set<string>();
  let looks = new Map<string, number>();
  const watching = new AbortController();
  const ended = (async () => {
    while (!watching.signal.aborted) {
      const pids = (await readdir("/proc").catch(() => [])).filter((name) => /^\d+$/.test(name));
      looks = new Map(pids.map((pid) => [pid, (looks.get(pid) ?? 0) + 1]));
      const young = pids.filter((pid) => (looks.get(pid) ?? 0) <= looksPerProcess);
      const lines = await Promise.all(young.map((pid) => readFile(`/proc/${pid}/cmdline`, "latin1").catch(() => "")));
      for (const line of lines) if (line !== "") seen.add(line.replaceAll("\0", " "));
      await after(25);
    }
  })();
  return {
    stop: async () => {
      watching.abort();
      await ended;
      return [...seen].join("\n");
    },
  };
}
