/** Parts of a benchmark that run in a process of their own, each told what to do by one argument of JSON. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";

const begin = (file: string, argument: string): ChildProcess & { stdout: NodeJS.ReadableStream } => {
  const path = fileURLToPath(new URL(file, import.meta.url));
  const child = spawn(process.execPath, [path, argument], { stdio: ["pipe", "pipe", "inherit"] });
  return child as ReturnType<typeof begin>;
};

/** Runs it to its end; what it wrote is its answer. */
export async function answerOf<T>(file: string, ask: unknown): Promise<T> {
  const child = begin(file, JSON.stringify(ask));
  const [told, [code]] = await Promise.all([text(child.stdout), once(child, "close")]);
  if (code !== 0) throw new Error(`${file} ended with ${code}.`);
  return JSON.parse(told) as T;
}

export interface Beside {
  /** The first line that it wrote. */
  readonly word: string;
  close(): Promise<void>;
}

/** Runs it until it is closed, which it notices by the end of its standard input; ready once it has written a line. */
export async function beside(file: string, argument: string): Promise<Beside> {
  const child = begin(file, argument);
  const ended = once(child, "close");
  const close = async () => {
    child.stdin?.end();
    const late = setTimeout(() => child.kill("SIGKILL"), 20_000);
    await ended;
    clearTimeout(late);
  };
  const first = new Promise<string>((resolve, reject) => {
    let said = "";
    child.stdout.on("data", (part: Buffer) => {
      said += part.toString();
      if (said.includes("\n")) resolve(said.slice(0, said.indexOf("\n")));
    });
    ended.then(([code]) => reject(new Error(`${file} ended with ${code} before it was ready.`)), reject);
  });
  return { word: await first, close };
}
