/**
 * Fetches chunks: few large ranged reads per pack, each chunk verified before it is written, wherever it is wanted.
 *
 * Wrong or broken bytes are fetched once more; what is wrong twice is named, with its pack and the file it was for.
 */
import { FaultError } from "../domain/errors.ts";
import type { ByteRange, ObjectStore } from "../stores/object-store.ts";
import type { ChunkPool } from "./chunk-pool.ts";
import type { PlacedChunk } from "./chunk-work.ts";
import { corrupt, packBytes, packKey } from "./format.ts";
import { forEachLimited } from "./limited.ts";
import type { Line } from "./line.ts";
import { filler, type Filler } from "./fill.ts";
import { missingPack } from "./stored.ts";
import { gapBytes, type Span, type WantedChunk } from "./wanted.ts";

export interface FetchAsk {
  readonly store: Pick<ObjectStore, "read">;
  readonly pool: ChunkPool;
  /** What limits the bytes per second from the store. */
  readonly line: Line;
  readonly signal: AbortSignal;
  /** Reads on their way at once. */
  readonly parallel: number;
  /** Before it nothing may be written. */
  readonly ready: Promise<void>;
  /** Told per finished read; `fetchedBytes` are those of the store. */
  readonly onFetched: (done: { fetchedBytes: number; plainBytes: number }) => void;
}

export async function fetchChunks(ask: FetchAsk, spans: readonly Span[]): Promise<void> {
  await forEachLimited(runsOf(spans), ask.parallel, (run) => fetchRun(ask, run), heldBy);
}

export const fetchWhole = (ask: FetchAsk, span: Span): Promise<void> => fetchRun(ask, [span]);

/** What a request holds in memory: a span that comes, and one that the threads have. So small packs are fetched by twice as many requests as large ones. */
const heldBy = (run: readonly Span[]): number => Math.min(2, run.length);
/** A pack whole by one request: more of them cost the store and this host more than they win. */
const runBytes = packBytes;

/** The spans in their order, those together that one request can bring. */
function* runsOf(spans: readonly Span[]): Generator<readonly Span[]> {
  let run: Span[] = [];
  for (const span of spans) {
    if (!joins(span, run)) {
      yield run;
      run = [];
    }
    run.push(span);
  }
  if (run.length > 0) yield run;
}

function joins({ pack, offset, end }: Span, run: readonly Span[]): boolean {
  const [first, last] = [run[0], run.at(-1)];
  if (!first || !last) return true;
  return pack === last.pack && offset - last.end <= gapBytes && end - first.offset <= runBytes;
}

interface Failed {
  readonly span: Span;
  readonly fault: FaultError;
}

/** What went wrong on the way is asked for once more, span by span. */
async function fetchRun(ask: FetchAsk, run: readonly Span[]): Promise<void> {
  for (const { span } of await tryRun(ask, run)) {
    const [again] = await tryRun(ask, [span]);
    if (again) throw again.fault;
  }
}

/** One try; answers what a second one may mend, throws what it cannot. While the threads work on one span the next one comes. */
async function tryRun(ask: FetchAsk, run: readonly Span[]): Promise<Failed[]> {
  ask.signal.throwIfAborted();
  const failed: Failed[] = [];
  const answer = openAnswer(ask, run);
  let placing = Promise.resolve();
  try {
    for (const span of run) {
      const body = await answer.next(span);
      await placing;
      if (body instanceof FaultError) {
        // Of an answer that broke off nothing more comes.
        failed.push(...run.slice(run.indexOf(span)).map((lost) => ({ span: lost, fault: body })));
        break;
      }
      placing = place(ask, span, body).then((fault) => void (fault && failed.push({ span, fault })));
      placing.catch(() => undefined); // Met where it is awaited.
    }
    await placing;
    return failed;
  } finally {
    await Promise.allSettled([placing, answer.end()]);
  }
}

async function place(ask: FetchAsk, span: Span, body: Uint8Array<ArrayBuffer>): Promise<FaultError | null> {
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
export async function placeSpan({ pool, ready, onFetched }: FetchAsk, { body, chunks, storedBytes }: Came): Promise<number | null> {
  const task = chunks.map(({ offset, length, plainBytes, hash, targets }): PlacedChunk => ({ offset, length, plainBytes, hash, targets }));
  await ready;
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

interface Answer {
  /** The bytes of the next span, or why there are none. */
  next(span: Span): Promise<Uint8Array<ArrayBuffer> | FaultError>;
  end(): Promise<void>;
}

function openAnswer({ store, pool, line, signal }: FetchAsk, run: readonly Span[]): Answer {
  const [from, to] = [run[0]?.offset ?? 0, run.at(-1)?.end ?? 0];
  let opened: Filler | undefined;
  let at = from;
  const begin = async ({ pack }: Span): Promise<Filler> => {
    const range: ByteRange = { offsetBytes: from, lengthBytes: to - from };
    return filler(await store.read(packKey(pack), range, signal).catch((error: unknown) => Promise.reject(restated(pack, error))));
  };
  const next = async (span: Span) => {
    const length = span.end - span.offset;
    await line.take(span.end - at, signal);
    opened ??= await begin(span);
    try {
      await opened.skip(span.offset - at);
      const { body, bytes } = await opened.fill(pool.memory(length));
      at = span.end;
      return bytes === length ? body : wrongChunk(span, span.chunks.at(-1));
    } catch (cause) {
      if (signal.aborted || cause instanceof FaultError) throw cause;
      return brokenOff(span, cause);
    }
  };
  return { next, end: async () => opened?.end() };
}

function restated(pack: string, error: unknown): unknown {
  return error instanceof FaultError && error.fault.code === "store_object_missing" ? missingPack(pack, error) : error;
}

const brokenOff = ({ pack }: Span, cause: unknown): FaultError =>
  new FaultError({ code: "store_unavailable", message: `The store broke off while it sent the pack ${pack}.`, subject: pack }, { cause });

function wrongChunk({ pack }: Span, chunk: WantedChunk | undefined): FaultError {
  return corrupt(
    `The pack ${pack}`,
    `its bytes at ${chunk?.offset ?? 0} are not the chunk that "${chunk?.targets[0]?.path ?? "a file"}" needs`,
  );
}
