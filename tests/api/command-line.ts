/** The command line in this process. */
import { join } from "node:path";
import { Readable, Writable } from "node:stream";
import { openContext } from "../../cli/context.ts";
import type { Parts } from "../../cli/parts.ts";
import { runCommand } from "../../cli/program.ts";

interface Run {
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
  /** Sees what it has said to people so far. */
  readonly onErr?: ((text: string) => void) | undefined;
}

export async function runDrover(args: readonly string[], { folder, env, onErr = () => undefined }: Run) {
  let [out, err] = ["", ""];
  const writable = (take: (text: string) => void) =>
    new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        take(chunk.toString());
        done();
      },
    });
  const context = openContext({
    env: { DROVER_CONFIG_DIR: join(folder, "config"), DROVER_HOME: join(folder, "home"), ...env },
    folder,
    streams: { out: writable((text) => void (out += text)), err: writable((text) => onErr((err += text))), in: Readable.from([]) },
    parts: {} as Parts, // Nothing is asked of this computer.
    onSignal: () => () => undefined,
  });
  return { exitCode: await runCommand(context, args), out, err, json: () => JSON.parse(out) };
}
