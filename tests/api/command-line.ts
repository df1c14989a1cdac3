/** The command line in this process, and a person who follows the address that it prints. */
import { join } from "node:path";
import { Readable, Writable } from "node:stream";
import { openContext } from "../../cli/context.ts";
import type { Parts } from "../../cli/parts.ts";
import { runCommand } from "../../cli/program.ts";
import { browse } from "./provider.ts";

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

/** Follows the address that the command line prints, once. */
export function person(login: string) {
  let walk: Promise<string> | null = null;
  const follow = (said: string) => {
    const [, address] = /\n\n {2}(http\S+)\n/.exec(said) ?? [];
    if (address !== undefined) walk ??= browse(address, login);
  };
  return { follow, page: () => walk };
}
