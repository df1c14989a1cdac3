/**
 * One measured step of the engine in a process of its own: it gets an order, does it, and answers how long it took and how much memory it had at most.
 *
 * The peak is the kernel's own high-water mark of this process, with everything a transfer needs: runtime, threads, buffers. The clock runs while the work runs.
 */
import { cloneFolder } from "../images/clone-file.ts";
import { pullTree } from "../images/pull.ts";
import { pushBundle } from "../images/push.ts";
import type { Level } from "../images/level.ts";
import type { ImageRef } from "../images/stored.ts";
import { ownPeakBytes } from "./peak.ts";
import { realStore, storeToPushTo, type RealStoreAt, type StoreAt } from "./store-at.ts";

export type Order =
  | {
      readonly kind: "push";
      readonly store: StoreAt;
      readonly bundlePath: string;
      readonly bases: readonly ImageRef[];
      readonly journalPath: string;
      /** What the push finds, and what the one before found. */
      readonly recordPath: string;
      readonly verify?: boolean;
      readonly level?: Level;
    }
  | {
      readonly kind: "pull";
      readonly store: RealStoreAt;
      readonly image: ImageRef;
      readonly targetPath: string;
      readonly seeds: readonly { readonly digest: string; readonly path: string }[];
    }
  | { readonly kind: "clone"; readonly from: string; readonly to: string };

export interface Done {
  readonly seconds: number;
  /** Of all processors together. */
  readonly cpuSeconds: number;
  readonly peakBytes: number;
  /** What the engine answered, as far as later steps and the remarks need it; zeros and "" where a step has no such thing. */
  readonly digest: string;
  readonly movedBytes: number;
  readonly storedBytes: number;
}

process.once("message", (order: Order) => void answer(order));

async function answer(order: Order): Promise<void> {
  const done = await perform(order);
  process.send?.(done, () => process.disconnect?.());
}

async function perform(order: Order): Promise<Done> {
  const [start, before] = [performance.now(), process.cpuUsage()];
  const told = await work(order);
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(before);
  return { seconds, cpuSeconds: (user + system) / 1e6, peakBytes: ownPeakBytes(), ...told };
}

async function work(order: Order): Promise<Omit<Done, "seconds" | "cpuSeconds" | "peakBytes">> {
  const signal = new AbortController().signal;
  if (order.kind === "clone") {
    await cloneFolder(order.from, order.to, signal);
    return { digest: "", movedBytes: 0, storedBytes: 0 };
  }
  if (order.kind === "push") {
    const store = storeToPushTo(order.store);
    const { kind: _kind, store: _at, ...asked } = order;
    const { digest, sentBytes, storedBytes } = await pushBundle({ ...asked, store, generation: 1, signal });
    return { digest, movedBytes: sentBytes, storedBytes };
  }
  const { image, targetPath, seeds } = order;
  const store = realStore(order.store);
  const { fetchedBytes } = await pullTree({ ...image, store, targetPath, seeds, signal });
  return { digest: image.digest, movedBytes: fetchedBytes, storedBytes: 0 };
}
