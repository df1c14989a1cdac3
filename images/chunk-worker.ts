/** The thread that does chunk work: one question, one answer, in order; a failure travels as data, since errors lose their class between threads. */
import { parentPort } from "node:worker_threads";
import { FaultError, type Fault } from "../domain/errors.ts";
import type { SharedHashes } from "./chunk-index.ts";
import {
  placeChunks,
  readPieces,
  writeChunks,
  type PlaceResult,
  type PlaceTask,
  type ReadResult,
  type ReadTask,
  type WriteResult,
  type WriteTask,
} from "./chunk-work.ts";
import { diskFault } from "./files.ts";

export type WorkerTask = ReadTask | PlaceTask | WriteTask;
export type WorkerResult = ReadResult | PlaceResult | WriteResult;
export type WorkerQuestion = { readonly id: number; readonly task: WorkerTask } | { readonly known: SharedHashes } | { readonly end: true };
export type WorkerAnswer =
  | { readonly id: number; readonly result: WorkerResult }
  | { readonly id: number; readonly fault: Fault }
  | { readonly id: number; readonly failure: string };

let known: SharedHashes | null = null;

parentPort?.on("message", (question: WorkerQuestion) => {
  if ("end" in question) parentPort?.close();
  else if ("known" in question) known = question.known;
  else answer(question.id, question.task);
});

function answer(id: number, task: WorkerTask): void {
  try {
    const result = resultOf(task);
    parentPort?.postMessage({ id, result } satisfies WorkerAnswer, [result.body.buffer]);
  } catch (error) {
    const told = diskFault("path" in task ? String(task.path) : pathOf(error), error);
    parentPort?.postMessage(
      (told instanceof FaultError ? { id, fault: told.fault } : { id, failure: String(told) }) satisfies WorkerAnswer,
    );
  }
}

function resultOf(task: WorkerTask): WorkerResult {
  if (task.kind === "read") return readPieces(task, known);
  return task.kind === "place" ? placeChunks(task) : writeChunks(task);
}

/** Node tells the path of a failed open, but not of a failed read or write. */
function pathOf(error: unknown): string {
  return error instanceof Error && "path" in error ? String(error.path) : "a file of the image";
}
