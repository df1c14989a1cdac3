/** A command line as somebody types it, in this process: what it writes is kept, what it reads is given. */
import { join } from "node:path";
import { Readable, Writable } from "node:stream";
import { openContext } from "../../cli/context.ts";
import type { Parts } from "../../cli/parts.ts";
import { runCommand } from "../../cli/program.ts";

export interface Given {
  readonly env?: Record<string, string>;
  /** What stands at standard input. */
  readonly input?: string;
  /** Called with the handlers of SIGINT, once somebody listens. */
  readonly onListening?: (interrupt: () => void) => void;
}

/** Logins and relative paths are below the folder. */
export const typing =
  (folder: () => string) =>
  async (args: readonly string[], { env = {}, input, onListening }: Given = {}) => {
    const [out, err] = [collector(), collector()];
    const parts = {} as Parts; // None of these commands asks anything of this computer.
    const context = openContext({
      env: { DROVER_CONFIG_DIR: join(folder(), "config"), DROVER_HOME: join(folder(), "home"), ...env },
      folder: folder(),
      streams: { out: out.stream, err: err.stream, in: Readable.from(input === undefined ? [] : [input]) },
      parts,
      onSignal: (names, handler) => {
        if (names.includes("SIGINT")) onListening?.(handler);
        return () => undefined;
      },
    });
    const exitCode = await runCommand(context, args);
    return { exitCode, out: out.text(), err: err.text() };
  };

function collector() {
  const parts: string[] = [];
  const write = (chunk: Buffer, _encoding: string, done: () => void) => {
    parts.push(chunk.toString());
    done();
  };
  return { stream: new Writable({ write }), text: () => parts.join("") };
}
