/**
 * Whose turn it is to send a pack: first come, first served, so many at once, and no more bytes than one pack may hold.
 *
 * The one idea: bytes are counted, not only packs, so that whatever dies costs no more than these, also while the size of packs changes.
 */
import { packBytes } from "./format.ts";

export interface PackTurns {
  take(bytes: number): Promise<void>;
  leave(bytes: number): void;
  /** Whether somebody waits. */
  crowded(): boolean;
}

export function openPackTurns(most: () => number): PackTurns {
  const waiting: { readonly bytes: number; readonly go: () => void }[] = [];
  let [packs, travelling] = [0, 0];
  const admit = () => {
    for (;;) {
      const [first] = waiting;
      if (!first || packs >= most() || travelling + first.bytes > packBytes) return;
      waiting.shift();
      packs += 1;
      travelling += first.bytes;
      first.go();
    }
  };
  return {
    take: (bytes) =>
      new Promise((go) => {
        waiting.push({ bytes, go });
        admit();
      }),
    leave: (bytes) => {
      packs -= 1;
      travelling -= bytes;
      admit();
    },
    crowded: () => waiting.length > 0,
  };
}
