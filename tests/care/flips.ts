/** Single bits of a store, flipped one at a time: whether the check finds each, and whether a pull gives out anything but what was pushed. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FaultError } from "../../domain/errors.ts";
import { checkContent, checkStructure } from "../../images/check.ts";
import { pullTree } from "../../images/pull.ts";
import { pushBundle } from "../../images/push.ts";
import { claimStore, readIdentity } from "../../stores/identity.ts";
import { memoryStore } from "../../stores/memory.ts";
import { never } from "../images/catalog-model.ts";
import { listTree, makeTree, random } from "../images/samples.ts";

export interface Flips {
  readonly flips: number;
  /** Flips that neither the structure nor the content showed. */
  readonly missed: string[];
  /** Pulls of a broken store that ended well with something else than what was pushed. */
  readonly served: string[];
  readonly byKind: Record<string, number>;
}

const hubId = "hub-of-this-test";

export async function flipBits(seed: number, count: number): Promise<Flips> {
  const folder = await mkdtemp(join(tmpdir(), "drover-flips-"));
  try {
    const next = random(seed);
    const pick = (limit: number) => Math.floor(next() * limit);
    const objects = new Map<string, Uint8Array>();
    const store = memoryStore(objects);
    await claimStore(store, hubId, never);
    const storeId = (await readIdentity(store, never))?.storeId ?? "";
    const bundlePath = join(folder, "bundle");
    makeTree(bundlePath, seed);
    const pushed = await pushBundle({ bundlePath, store, bases: [], journalPath: join(folder, "journal"), generation: 1, signal: never });
    const ref = { digest: pushed.digest, generation: 1 };
    const wanted = listTree(bundlePath).join("\n");
    const [missed, served]: [string[], string[]] = [[], []];
    const byKind: Record<string, number> = {};
    for (let n = 0; n < count; n++) {
      const key = chosenKey([...objects.keys()], n, pick);
      const body = objects.get(key) ?? new Uint8Array();
      const bit = pick(body.byteLength * 8);
      const flipped = Uint8Array.from(body);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      objects.set(key, flipped);
      const kind = key.split("/")[2] ?? key;
      byKind[kind] = (byKind[kind] ?? 0) + 1;
      const name = `bit ${bit} of ${key}`;
      const look = { store, living: [ref], signal: never };
      const structure = await checkStructure({ ...look, owner: { hubId, storeId } });
      const content = await checkContent({ ...look, folder: join(folder, "look"), wants: () => true });
      if (structure.findings.length + content.findings.length === 0) missed.push(name);
      const targetPath = join(folder, "pulled");
      const fault = await pullTree({ ...ref, store, targetPath, seeds: [], signal: never, threads: 1 }).then(
        () => null,
        (error: unknown) => {
          if (!(error instanceof FaultError)) throw error;
          return error.fault.code;
        },
      );
      if (fault === null && listTree(join(targetPath, "bundle")).join("\n") !== wanted) served.push(name);
      await rm(targetPath, { recursive: true, force: true });
      objects.set(key, body);
    }
    return { flips: count, missed, served, byKind };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Each kind of object in turn, since nearly all bytes are those of packs. */
function chosenKey(keys: readonly string[], n: number, pick: (limit: number) => number): string {
  const kinds = ["/packs/", "/trees/", "/locations/", "store.json"];
  const ofKind = keys.filter((key) => key.includes(kinds[n % kinds.length] ?? ""));
  return ofKind[pick(ofKind.length)] ?? "";
}
