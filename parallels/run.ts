/**
 * Runs one command: an argv array, never a shell, always a timeout, in a process group of its own.
 *
 * The one idea: a command that hangs takes no notice of SIGTERM, so at the timeout or when the caller gives up the whole group is killed
 * with SIGKILL, and the caller gets its answer whether or not the pipes were closed.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { basename } from "node:path";
import { FaultError } from "../domain/errors.ts";

export interface RunOptions {
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs: number;
  /** Given to the command's standard input, which stays open until the command ends: prlctl loses exit codes otherwise. */
  readonly input?: string;
  /** Each piece of output as it comes. */
  readonly onStdout?: (bytes: Buffer) => void;
  readonly onStderr?: (bytes: Buffer) => void;
  /** What is kept of each stream: the first bytes up to this number. A streamed command keeps only what its errors need. */
  readonly keepBytes?: number;
  /** Told that the command runs, under this process id; what it answers is called when the command has ended. */
  readonly onBegun?: ((pid: number, argv: readonly string[]) => () => void) | undefined;
}

export interface Ran {
  /** `null`: ended by a signal that did not come from us. */
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A full list of some hundred machines has a few MB. */
const usualKeepBytes = 64 * 1024 ** 2;
/** After the command's end its last output needs a moment; a daemon that it left behind may keep the pipes open for ever. A killed one is gone sooner. */
const drainMs = 1000;

export function run(path: string, argv: readonly string[], options: RunOptions): Promise<Ran> {
  const { signal, timeoutMs, keepBytes = usualKeepBytes } = options;
  const name = `${basename(path)} ${argv[0] ?? ""}`.trim();
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const child = spawn(path, [...argv], { detached: true, stdio: ["pipe", "pipe", "pipe"] });
    const stdout = keeping(child.stdout, keepBytes, options.onStdout);
    const stderr = keeping(child.stderr, keepBytes, options.onStderr);
    const ended = child.pid === undefined ? undefined : options.onBegun?.(child.pid, argv);
    let exited = false;
    let drain: NodeJS.Timeout | undefined;

    const settle = (act: () => void) => {
      clearTimeout(timer);
      clearTimeout(drain);
      signal?.removeEventListener("abort", abort);
      for (const stream of [child.stdin, child.stdout, child.stderr]) stream.destroy();
      ended?.();
      act();
    };
    // Whoever undoes the act starts when the promise is rejected: not before the command is gone.
    const end = (reason: unknown) => {
      killGroup(child);
      const gone = () => settle(() => reject(reason));
      if (exited) return gone();
      child.removeAllListeners("exit").removeAllListeners("close").once("exit", gone);
      drain = setTimeout(gone, drainMs);
    };
    const abort = () => end(signal?.reason);
    const tooLate = () =>
      end(new FaultError({ code: "prlctl_timeout", message: `${name} did not end within ${timeoutMs / 1000} s and was killed.` }));
    const timer = setTimeout(tooLate, timeoutMs);
    const finish = (exitCode: number | null) => settle(() => resolve({ exitCode, stdout: stdout(), stderr: stderr() }));

    signal?.addEventListener("abort", abort, { once: true });
    child.on("error", (cause) =>
      settle(() => reject(new FaultError({ code: "prlctl_unavailable", message: `${path} could not be started.` }, { cause }))),
    );
    child.on("exit", (exitCode) => {
      exited = true;
      drain = setTimeout(finish, drainMs, exitCode);
    });
    child.on("close", finish);
    child.stdin.on("error", () => {}); // The command may end without having read its input.
    if (options.input === undefined) child.stdin.end();
    else child.stdin.write(options.input);
  });
}

function keeping(stream: NodeJS.ReadableStream, keepBytes: number, onBytes: ((bytes: Buffer) => void) | undefined): () => string {
  const kept: Buffer[] = [];
  let room = keepBytes;
  stream.on("data", (bytes: Buffer) => {
    onBytes?.(bytes);
    if (room > 0) kept.push(bytes.subarray(0, room));
    room -= bytes.length;
  });
  return () => Buffer.concat(kept).toString("utf8");
}

function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    // The group ended by itself in between.
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
