/**
 * Fetches chunks: few large ranged reads per pack, each chunk verified before it is written, wherever it is wanted.
 *
 * Wrong or broken bytes are fetched once more; what is wrong twice is named, with its pack and the file it was for.
 */
import { FaultError } from "../domain/errors.ts";
import type { ByteRange, ObjectStore } from "../stores/object-store.ts";
import type { ChunkPool } from "./chunk-pool.ts";
import type { PlacedChunk } from "./chunk-work.ts";
import { corrupt, packKey } from "./format.ts";
import { forEachLimited } from "./limited.ts";
import type { Line } from "./line.ts";
import { fill } from "./fill.ts";
import { missingPack } from "./stored.ts";
import type { Span, WantedChunk } from "./wanted.ts";

export interface FetchAsk {
  readonly store: Pick<ObjectStore, "read">;
  readonly pool: ChunkPool;
  /** What limits the bytes per second from the store. */
  readonly line: Line;
  readonly signal: AbortSignal;
  /** Reads on their way at once. */
  readonly parallel: number;
  /** Told per finished read; `fetchedBytes` are those of the store. */
  readonly onFetched: (done: { fetchedBytes: number; plainBytes: number }) => void;
}

export async function fetchChunks(ask: FetchAsk, spans: readonly Span[]): Promise<void> {
  await forEachLimited(spans, ask.parallel, (span) => fetchWhole(ask, span));
}

export async function fetchWhole(ask: FetchAsk, span: Span): Promise<void> {
  ask.signal.throwIfAborted();
  if ((await fetchSpan(ask, span)) === null) return;
  const fault = await fetchSpan(ask, span);
  if (fault) throw fault;
}

/** One try; answers what a second one may mend, throws what it cannot. */
async function fetchSpan(ask: FetchAsk, span: Span): Promise<FaultError | null> {
  const body = await readSpan(ask, span);
  if (body instanceof FaultError) return body;
  const chunks = span.chunks.map((chunk) => ({ ...chunk, offset: chunk.offset - span.offset }));
  const wrong = await placeSpan(ask, { body, chunks, storedBytes: body.byteLength });
  return wrong === null ? null : wrongChunk(span, span.chunks[wrong]);
}

/** What came of one read: chunks by their place in its body. */
export interface Came {
  readonly body: Uint8Array<ArrayBuffer>;
  readonly chunks: readonly PlacedChunk[];
  /** How much of it the store sent. */
  readonly storedBytes: number;
}

/** Verifies and writes; answers the number of the first chunk that is wrong, or null. */
export async function placeSpan({ pool, onFetched }: FetchAsk, { body, chunks, storedBytes }: Came): Promise<number | null> {
  const task = chunks.map(({ offset, length, plainBytes, hash, targets }): PlacedChunk => ({ offset, length, plainBytes, hash, targets }));
  const placed = await pool.place({ kind: "place", body, chunks: task });
  // What came from elsewhere is memory of its own, which nobody would take back out.
  if (storedBytes > 0) pool.giveBack(placed);
  const [first] = placed.wrong;
  if (first !== undefined) return first;
  onFetched({
    fetchedBytes: storedBytes,
    plainBytes: chunks.reduce((sum, { plainBytes, targets }) => sum + plainBytes * targets.length, 0),
  });
  return null;
}

async function readSpan({ store, pool, line, signal }: FetchAsk, span: Span): Promise<Uint8Array<ArrayBuffer> | FaultError> {
  const range: ByteRange = { offsetBytes: span.offset, lengthBytes: span.end - span.offset };
  await line.take(range.lengthBytes, signal);
  const stream = await store.read(packKey(span.pack), range, signal).catch((error: unknown) => {
    if (error instanceof FaultError && error.fault.code === "store_object_missing") throw missingPack(span.pack, error);
    throw error;
  });
  try {
    const filled = await fill(pool.memory(range.lengthBytes), stream);
    if (filled.excess) return corrupt(`The answer for pack ${span.pack}`, "it is longer than the range that was asked for");
    return filled.bytes === range.lengthBytes ? filled.body : wrongChunk(span, span.chunks.at(-1));
  } catch (cause) {
    if (signal.aborted || cause instanceof FaultError) throw cause;
    return new FaultError(
      { code: "store_unavailable", message: `The store broke off while it sent the pack ${span.pack}.`, subject: span.pack },
      { cause },
    );
  }
}

function wrongChunk({ pack }: Span, chunk: WantedChunk | undefined): FaultError {
  return corrupt(
    `The pack ${pack}`,
    `its bytes at ${chunk?.offset ?? 0} are not the chunk that "${chunk?.targets[0]?.path ?? "a file"}" needs`,
  );
}
