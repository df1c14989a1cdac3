/**
 * Takes an answer of a store into memory that is there already.
 *
 * A stream of bytes writes straight into it, and so leaves nothing to collect: a third of a pull's time went into that. Any other stream is copied.
 */

export interface Filled {
  /** The memory, which may have moved on the way; it is as long as it was. */
  readonly body: Uint8Array<ArrayBuffer>;
  /** How many came: fewer than there is room for where the answer ended early. */
  readonly bytes: number;
  /** More came than there is room for. */
  readonly excess: boolean;
}

export async function fill(body: Uint8Array<ArrayBuffer>, stream: ReadableStream<Uint8Array>): Promise<Filled> {
  const reader = byteReader(stream);
  return reader ? fillDirectly(body, reader) : fillByCopy(body, stream);
}

/** `null` for a stream that hands out pieces of its own. */
function byteReader(stream: ReadableStream<Uint8Array>): ReadableStreamBYOBReader | null {
  try {
    return stream.getReader({ mode: "byob" });
  } catch {
    return null;
  }
}

async function fillDirectly(
  { buffer, byteOffset, byteLength }: Uint8Array<ArrayBuffer>,
  reader: ReadableStreamBYOBReader,
): Promise<Filled> {
  let memory = buffer;
  let bytes = 0;
  while (bytes < byteLength) {
    const { done, value } = await reader.read(new Uint8Array(memory, byteOffset + bytes, byteLength - bytes));
    // The memory moves to the stream and back with each read.
    if (value) memory = value.buffer;
    if (done) break;
    bytes += value.byteLength;
  }
  const excess = bytes === byteLength && !(await reader.read(new Uint8Array(1))).done;
  if (excess) await reader.cancel();
  return { body: new Uint8Array(memory, byteOffset, byteLength), bytes, excess };
}

async function fillByCopy(body: Uint8Array<ArrayBuffer>, stream: ReadableStream<Uint8Array>): Promise<Filled> {
  let bytes = 0;
  for await (const part of stream) {
    if (bytes + part.byteLength > body.byteLength) return { body, bytes, excess: true };
    body.set(part, bytes);
    bytes += part.byteLength;
  }
  return { body, bytes, excess: false };
}
