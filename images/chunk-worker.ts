/** The thread that does chunk work: one question, one answer, in order; a failure travels as data, since errors lose their class between threads. */
import { parentPort } from "node:worker_threads";
import { FaultError, type Fault } from "../domain/errors.ts";
import type { SharedHashes } from "./chunk-index.ts";
import { placeChunks, readPieces, type PlaceResult, type PlaceTask, type ReadResult, type ReadTask } from "./chunk-work.ts";
import { diskFault } from "./files.ts";

export type WorkerQuestion = { readonly id: number; readonly task: ReadTask | PlaceTask } | { readonly known: SharedHashes };
export type WorkerAnswer =
  | { readonly id: number; readonly result: ReadResult | PlaceResult }
  | { readonly id: number; readonly fault: Fault }
  | { readonly id: number; readonly failure: string };

let known: SharedHashes | null = null;

parentPort?.on("message", (question: WorkerQuestion) => {
  if ("known" in question) known = question.known;
  else answer(question.id, question.task);
});

function answer(id: number, task: ReadTask | PlaceTask): void {
  try {
    const result = task.kind === "read" ? readPieces(task, known) : placeChunks(task);
    parentPort?.postMessage({ id, result } satisfies WorkerAnswer, [result.body.buffer]);
  } catch (error) {
    const told = diskFault("path" in task ? String(task.path) : pathOf(error), error);
    parentPort?.postMessage(
      (told instanceof FaultError ? { id, fault: told.fault } : { id, failure: String(told) }) satisfies WorkerAnswer,
    );
  }
}

/** Node tells the path of a failed open, but not of a failed read or write. */
function pathOf(error: unknown): string {
  return error instanceof Error && "path" in error ? String(error.path) : "a file of the image";
}
