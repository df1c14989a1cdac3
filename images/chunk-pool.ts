/**
 * A few threads for chunk work, with a queue that is never longer than what keeps them busy.
 *
 * The caller limits what is under way, so memory is bounded by the number of tasks, whatever the size of the files.
 */
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { FaultError } from "../domain/errors.ts";
import type { SharedHashes } from "./chunk-index.ts";
import type { PlaceResult, PlaceTask, ReadResult, ReadTask } from "./chunk-work.ts";
import type { WorkerAnswer, WorkerQuestion } from "./chunk-worker.ts";

export interface ChunkPool {
  read(task: Omit<ReadTask, "into">): Promise<ReadResult>;
  /** Takes back the memory of an answer that is done with, for the next one: waiting for its collection would cost several times as much. */
  giveBack(result: ReadResult): void;
  /** The body moves to the thread: it is empty afterwards. */
  place(task: PlaceTask): Promise<PlaceResult>;
  /** Tells the threads which chunks need no compression. */
  know(known: SharedHashes): void;
  /** How many tasks keep all threads busy: one in work and one waiting for each. */
  readonly tasks: number;
  close(): Promise<void>;
}

interface Waiting {
  readonly resolve: (result: ReadResult | PlaceResult) => void;
  readonly reject: (error: Error) => void;
}

/** Two threads by default: with them a push already compresses as fast as most stores take packs, and a host keeps cores for its machines. */
const defaultThreads = 2;

export function openChunkPool(threads = defaultThreads): ChunkPool {
  const count = Math.max(1, Math.min(threads, availableParallelism()));
  const waiting = new Map<number, Waiting>();
  const lanes = Array.from({ length: count }, () => ({ worker: startWorker(waiting), load: 0 }));
  const free: Uint8Array<ArrayBuffer>[] = [];
  let lastId = 0;

  const ask = async <R extends ReadResult | PlaceResult>(task: ReadTask | PlaceTask, moved: ArrayBuffer[]): Promise<R> => {
    const lane = lanes.reduce((least, other) => (other.load < least.load ? other : least));
    const id = ++lastId;
    lane.load++;
    try {
      return (await new Promise<ReadResult | PlaceResult>((resolve, reject) => {
        waiting.set(id, { resolve, reject });
        lane.worker.postMessage({ id, task } satisfies WorkerQuestion, moved);
      })) as R;
    } finally {
      waiting.delete(id);
      lane.load--;
    }
  };

  return {
    tasks: count * 2,
    read: (task) => {
      const into = task.compress ? free.pop() : undefined;
      return into ? ask<ReadResult>({ ...task, into }, [into.buffer]) : ask<ReadResult>(task, []);
    },
    giveBack: ({ body }) => {
      if (body.buffer.byteLength > 0) free.push(new Uint8Array(body.buffer));
    },
    place: (task) => ask<PlaceResult>(task, [task.body.buffer]),
    know: (known) => lanes.forEach(({ worker }) => worker.postMessage({ known } satisfies WorkerQuestion)),
    close: async () => void (await Promise.all(lanes.map(({ worker }) => worker.terminate()))),
  };
}

function startWorker(waiting: Map<number, Waiting>): Worker {
  // The same file in both forms of the program: run from its sources, and built ahead.
  const file = import.meta.url.endsWith(".ts") ? "./chunk-worker.ts" : "./chunk-worker.js";
  const worker = new Worker(new URL(file, import.meta.url), { execArgv: [], stderr: false });
  worker.on("message", (answer: WorkerAnswer) => {
    const asked = waiting.get(answer.id);
    if ("result" in answer) asked?.resolve(answer.result);
    else asked?.reject("fault" in answer ? new FaultError(answer.fault) : new Error(answer.failure));
  });
  // A thread that dies takes its questions with it: fail them all rather than wait for ever.
  worker.on("error", (error) => waiting.forEach(({ reject }) => reject(error instanceof Error ? error : new Error(String(error)))));
  return worker;
}
