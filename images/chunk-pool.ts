/**
 * A few threads for chunk work, with a queue that is never longer than what keeps them busy.
 *
 * The caller limits what is under way, so memory is bounded by the number of tasks, whatever the size of the files.
 */
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { FaultError } from "../domain/errors.ts";
import type { SharedHashes } from "./chunk-index.ts";
import type { PlaceResult, PlaceTask, ReadResult, ReadTask, WriteResult, WriteTask } from "./chunk-work.ts";
import type { WorkerAnswer, WorkerQuestion, WorkerResult, WorkerTask } from "./chunk-worker.ts";

export interface ChunkPool {
  /** Starts a thread for the first task while that is still being prepared. */
  warm(): void;
  read(task: Omit<ReadTask, "into">): Promise<ReadResult>;
  /** The body moves to the thread and back: it is empty meanwhile. */
  place(task: PlaceTask): Promise<PlaceResult>;
  /** So does this one's. */
  write(task: WriteTask): Promise<WriteResult>;
  /** Memory for the body of a task, used before where there is some. */
  memory(bytes: number): Uint8Array<ArrayBuffer>;
  /** Takes back the memory of an answer that is done with, for the next one: waiting for its collection would cost several times as much. */
  giveBack(result: { readonly body: Uint8Array<ArrayBuffer> }): void;
  /** Tells the threads which chunks need no compression. */
  know(known: SharedHashes): void;
  /** How many tasks keep all threads busy: one in work and one waiting for each. */
  readonly tasks: number;
  close(): Promise<void>;
}

interface Waiting {
  readonly resolve: (result: WorkerResult) => void;
  readonly reject: (error: Error) => void;
}

interface Lane {
  readonly worker: Worker;
  readonly gone: Promise<unknown>;
  load: number;
}

/** Half the cores: the others are the machines'. Two at least, and no more than six, which compress 3 GB/s and take 20 MiB each. */
const defaultThreads = Math.min(6, Math.max(2, Math.floor(availableParallelism() / 2)));
/** A task in work and one waiting: only beyond that is another thread worth its memory, so a small image has one thread. */
const laneTasks = 2;
/** All bodies have at least this size, so that each can be used for any task; what is not touched costs nothing. */
const bodyBytes = 4 * 1024 * 1024;
/** MiB of young objects per thread: there are few, and the default lets three times 16 MiB of them wait for collection. */
const youngMebibytes = 4;

export function openChunkPool(threads = defaultThreads): ChunkPool {
  const count = Math.max(1, Math.min(threads, availableParallelism()));
  const waiting = new Map<number, Waiting>();
  const lanes: Lane[] = [];
  const { memory, giveBack } = bodies();
  let hashes: SharedHashes | null = null;
  let lastId = 0;

  const begin = (): Lane => {
    const lane = startLane(waiting);
    if (hashes) lane.worker.postMessage({ known: hashes } satisfies WorkerQuestion);
    lanes.push(lane);
    return lane;
  };

  const choose = (): Lane => {
    const least = lanes.toSorted((a, b) => a.load - b.load)[0];
    return least && (least.load < laneTasks || lanes.length === count) ? least : begin();
  };

  const ask = async <R extends WorkerResult>(task: WorkerTask, moved: ArrayBuffer[]): Promise<R> => {
    const lane = choose();
    const id = ++lastId;
    lane.load++;
    try {
      return (await new Promise<WorkerResult>((resolve, reject) => {
        waiting.set(id, { resolve, reject });
        lane.worker.postMessage({ id, task } satisfies WorkerQuestion, moved);
      })) as R;
    } finally {
      waiting.delete(id);
      lane.load--;
    }
  };

  return {
    warm: () => void choose(),
    tasks: count * laneTasks,
    read: (task) => {
      if (task.level === false) return ask<ReadResult>(task, []);
      const into = memory(task.pieces.reduce((sum, piece) => sum + piece.lengthBytes, 0));
      return ask<ReadResult>({ ...task, into }, [into.buffer]);
    },
    place: (task) => ask<PlaceResult>(task, [task.body.buffer]),
    write: (task) => ask<WriteResult>(task, [task.body.buffer]),
    memory,
    giveBack,
    know: (known) => {
      hashes = known;
      lanes.forEach(({ worker }) => worker.postMessage({ known } satisfies WorkerQuestion));
    },
    close: async () => void (await Promise.all(lanes.map(endLane))),
  };
}

function startLane(waiting: Map<number, Waiting>): Lane {
  const worker = startWorker(waiting);
  return { worker, gone: new Promise((resolve) => worker.once("exit", resolve)), load: 0 };
}

/** Asked to end, and waited for: a thread that is ended while it still loads the calls of the system takes the whole process with it. */
function endLane({ worker, gone }: Lane): Promise<unknown> {
  worker.postMessage({ end: true } satisfies WorkerQuestion);
  return gone;
}

/** The memory of bodies that are done with, for those to come. */
function bodies(): Pick<ChunkPool, "memory" | "giveBack"> {
  const free: Uint8Array<ArrayBuffer>[] = [];
  return {
    memory: (bytes) => {
      const used = bytes <= bodyBytes ? free.pop() : undefined;
      return (used ?? new Uint8Array(Math.max(bytes, bodyBytes))).subarray(0, bytes);
    },
    giveBack: ({ body }) => {
      if (body.buffer.byteLength >= bodyBytes) free.push(new Uint8Array(body.buffer));
    },
  };
}

function startWorker(waiting: Map<number, Waiting>): Worker {
  // The same file in both forms of the program: run from its sources, and built ahead.
  const file = import.meta.url.endsWith(".ts") ? "./chunk-worker.ts" : "./chunk-worker.js";
  const resourceLimits = { maxYoungGenerationSizeMb: youngMebibytes };
  const worker = new Worker(new URL(file, import.meta.url), { execArgv: [], stderr: false, resourceLimits });
  worker.on("message", (answer: WorkerAnswer) => {
    const asked = waiting.get(answer.id);
    if ("result" in answer) asked?.resolve(answer.result);
    else asked?.reject("fault" in answer ? new FaultError(answer.fault) : new Error(answer.failure));
  });
  // A thread that dies takes its questions with it: fail them all rather than wait for ever.
  worker.on("error", (error) => waiting.forEach(({ reject }) => reject(error instanceof Error ? error : new Error(String(error)))));
  return worker;
}
