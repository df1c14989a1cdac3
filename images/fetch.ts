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
import { missingPack } from "./stored.ts";

/** A chunk to fetch: where it lies, and every place that wants it. */
export interface WantedChunk {
  readonly pack: string;
  readonly offset: number;
  readonly length: number;
  readonly plainBytes: number;
  readonly hash: Buffer;
  readonly targets: { readonly path: string; readonly position: number }[];
  /** Its numbers in the whole tree. */
  readonly rows: number[];
}

export interface FetchAsk {
  readonly store: Pick<ObjectStore, "read">;
  readonly pool: ChunkPool;
  readonly signal: AbortSignal;
  /** Reads on their way at once. */
  readonly parallel: number;
  /** Told per finished read; `fetchedBytes` are those of the store. */
  readonly onFetched: (done: { fetchedBytes: number; plainBytes: number }) => void;
}

export interface Span {
  readonly pack: string;
  readonly chunks: WantedChunk[];
  readonly offset: number;
  end: number;
}

/** 2 MiB a read: eight at once fill a line of 2 Gbit/s over 50 ms, and fit in little memory. */
const spanBytes = 2 * 1024 * 1024;
/** Reading over a gap of this size is cheaper than another request. */
const gapBytes = 128 * 1024;

export async function fetchChunks(ask: FetchAsk, wanted: readonly WantedChunk[]): Promise<void> {
  await forEachLimited(spansOf(wanted), ask.parallel, (span) => fetchWhole(ask, span));
}

export async function fetchWhole(ask: FetchAsk, span: Span): Promise<void> {
  ask.signal.throwIfAborted();
  if ((await fetchSpan(ask, span)) === null) return;
  const fault = await fetchSpan(ask, span);
  if (fault) throw fault;
}

/** Neighbours in a pack are read together. */
export function spansOf(wanted: readonly WantedChunk[]): Span[] {
  const sorted = wanted.toSorted((a, b) => (a.pack === b.pack ? a.offset - b.offset : a.pack < b.pack ? -1 : 1));
  const found: Span[] = [];
  for (const chunk of sorted) {
    const last = found.at(-1);
    const end = chunk.offset + chunk.length;
    if (last && last.pack === chunk.pack && chunk.offset - last.end <= gapBytes && end - last.offset <= spanBytes) {
      last.chunks.push(chunk);
      last.end = Math.max(last.end, end);
    } else found.push({ pack: chunk.pack, chunks: [chunk], offset: chunk.offset, end });
  }
  return found;
}

/** One try; answers what a second one may mend, throws what it cannot. */
async function fetchSpan(ask: FetchAsk, span: Span): Promise<FaultError | null> {
  const body = await readSpan(ask.store, span, ask.pool, ask.signal);
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
  pool.giveBack(placed);
  const [first] = placed.wrong;
  if (first !== undefined) return first;
  onFetched({
    fetchedBytes: storedBytes,
    plainBytes: chunks.reduce((sum, { plainBytes, targets }) => sum + plainBytes * targets.length, 0),
  });
  return null;
}

async function readSpan(
  store: Pick<ObjectStore, "read">,
  span: Span,
  pool: ChunkPool,
  signal: AbortSignal,
): Promise<Uint8Array<ArrayBuffer> | FaultError> {
  const range: ByteRange = { offsetBytes: span.offset, lengthBytes: span.end - span.offset };
  const stream = await store.read(packKey(span.pack), range, signal).catch((error: unknown) => {
    if (error instanceof FaultError && error.fault.code === "store_object_missing") throw missingPack(span.pack, error);
    throw error;
  });
  const body = pool.memory(range.lengthBytes);
  let at = 0;
  try {
    for await (const part of stream) {
      if (at + part.byteLength > body.byteLength)
        return corrupt(`The answer for pack ${span.pack}`, "it is longer than the range that was asked for");
      body.set(part, at);
      at += part.byteLength;
    }
  } catch (cause) {
    if (signal.aborted || cause instanceof FaultError) throw cause;
    return new FaultError(
      { code: "store_unavailable", message: `The store broke off while it sent the pack ${span.pack}.`, subject: span.pack },
      { cause },
    );
  }
  return at === body.byteLength ? body : wrongChunk(span, span.chunks.at(-1));
}

function wrongChunk({ pack }: Span, chunk: WantedChunk | undefined): FaultError {
  return corrupt(
    `The pack ${pack}`,
    `its bytes at ${chunk?.offset ?? 0} are not the chunk that "${chunk?.targets[0]?.path ?? "a file"}" needs`,
  );
}
