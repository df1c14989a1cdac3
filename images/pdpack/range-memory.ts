/**
 * Memory for the ranges of an archive, used again and again: as much as is on its way, whatever the archive's size, and nothing to collect.
 *
 * The one idea: an archive is read in its order. So whoever is handed a part of one range has done with all ranges before it, and theirs can be filled anew.
 */

export interface RangeMemory {
  /** Room for a range. */
  room(bytes: number): Uint8Array<ArrayBuffer>;
  /** This one is read next. */
  given(range: Uint8Array<ArrayBuffer>): void;
  /** Its reader has come to this part of it. One that is of no range says nothing. */
  reached(part: Uint8Array): void;
}

/** A reader that says nothing, as one that unpacks what it reads, keeps no more than these from being collected. */
const remembered = 4;

export function openRangeMemory(rangeBytes: number): RangeMemory {
  const free: ArrayBuffer[] = [];
  const reading: ArrayBuffer[] = [];
  return {
    room: (bytes) => new Uint8Array(free.pop() ?? new ArrayBuffer(rangeBytes), 0, bytes),
    given: ({ buffer }) => {
      reading.push(buffer);
      if (reading.length > remembered) reading.shift();
    },
    reached: ({ buffer }) => {
      const at = reading.findIndex((one) => one === buffer);
      if (at > 0) free.push(...reading.splice(0, at).filter(({ byteLength }) => byteLength === rangeBytes));
    },
  };
}
