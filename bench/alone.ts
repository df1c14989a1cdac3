/**
 * How long a store takes for the packs of a push by themselves: from memory, as many at once as a push sends, nothing read, hashed or compressed meanwhile.
 */
import { forEachLimited } from "../images/limited.ts";
import { readAll } from "../stores/object-store.ts";
import { realStore, type RealStoreAt } from "./store-at.ts";

const atOnce = 4;

export async function sendAlone(from: RealStoreAt, to: RealStoreAt): Promise<number> {
  const [source, target] = [realStore(from), realStore(to)];
  const signal = new AbortController().signal;
  const packs: { key: string; sha256: string; body: Buffer }[] = [];
  for await (const { key, bytes } of source.list(".drover/v1/packs/")) {
    packs.push({ key, sha256: key.slice(-64), body: await readAll(await source.read(key, null, signal), key, bytes) });
  }
  const start = performance.now();
  await forEachLimited(packs, atOnce, async ({ key, sha256, body }) => void (await target.write(key, body, sha256, signal)));
  return (performance.now() - start) / 1000;
}
