/**
 * Takes an answer of a store, part by part, into memory that is there already.
 *
 * The streams of stores write straight into it, and so leave nothing to collect: a third of a pull's time went into that.
 */

export interface Filled {
  /** The memory, which may have moved on the way; it is as long as it was. */
  readonly body: Uint8Array<ArrayBuffer>;
  /** How many came: fewer than there is room for where the answer ended early. */
  readonly bytes: number;
}

export interface Filler {
  fill(body: Uint8Array<ArrayBuffer>): Promise<Filled>;
  /** Passes over so many bytes. */
  skip(bytes: number): Promise<void>;
  /** Ends the stream, whatever more would come. One whose end was met leaves its connection for the next. */
  end(): Promise<void>;
}

/** What is passed over is read in pieces of this size. */
const skippedBytes = 64 * 1024;

export function filler(stream: ReadableStream<Uint8Array>): Filler {
  const reader = stream.getReader({ mode: "byob" });
  let asked = 0;
  let came = 0;
  const fill: Filler["fill"] = async ({ buffer, byteOffset, byteLength }) => {
    let memory = buffer;
    let bytes = 0;
    asked += byteLength;
    while (bytes < byteLength) {
      const { done, value } = await reader.read(new Uint8Array(memory, byteOffset + bytes, byteLength - bytes));
      // The memory moves to the stream and back with each read.
      if (value) memory = value.buffer;
      if (done) break;
      bytes += value.byteLength;
    }
    came += bytes;
    return { body: new Uint8Array(memory, byteOffset, byteLength), bytes };
  };
  return {
    fill,
    skip: async (bytes) => {
      for (let left = bytes; left > 0;) {
        const { bytes: passed } = await fill(new Uint8Array(Math.min(left, skippedBytes)));
        if (passed === 0) return;
        left -= passed;
      }
    },
    end: async () => {
      const atEnd = asked === came && (await reader.read(new Uint8Array(1))).done;
      if (!atEnd) await reader.cancel();
    },
  };
}
