/**
 * How hard a push compresses: one level throughout, or one that follows the line.
 *
 * Whoever waits tells: a pack that is full while as many as may be are still on their way or wait means that the line is the limit, so compress more; one that finds the line
 * idle means that the processor is, so compress less. Chunks are named by their plain bytes, so the level changes no image.
 */

/** A level of zstd, or the one that suits the line. */
export type Level = number | "adaptive";

export interface LevelChoice {
  current(): number;
  /** Told when a pack is full: how many others are on their way or wait for it, of how many that may be. */
  packFull(others: number, most: number): void;
}

/** Stores 1 to 4 % less than level 1 for a fifth more time; level 3 saves 1 to 3 % more for a third more time. `docs/image-engine.md` has the numbers. */
export const defaultLevel = 2;
/** Above 9, a level takes half as long again for less than 1 %. */
const highest = 9;
const lowest = 1;

export function chooseLevel(asked: Level = defaultLevel): LevelChoice {
  if (asked !== "adaptive") return { current: () => asked, packFull: () => undefined };
  let level = defaultLevel;
  return {
    current: () => level,
    packFull: (others, most) => {
      // The one that is full now is not among them.
      if (others >= most - 1) level = Math.min(highest, level + 1);
      else if (others === 0) level = Math.max(lowest, level - 1);
    },
  };
}
