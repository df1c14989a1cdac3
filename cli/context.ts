/**
 * What every command is given: the terminal, the environment, the hub, and the parts of Drover that lie on this computer.
 *
 * The one idea: a command sees the world through this value only, so that a test can hand it another one.
 */
import type { Readable, Writable } from "node:stream";
import type { Client } from "./client.ts";
import type { Parts } from "./parts.ts";

export interface Streams {
  readonly out: Writable & { readonly isTTY?: boolean; readonly columns?: number };
  readonly err: Writable & { readonly isTTY?: boolean; readonly columns?: number };
  readonly in: Readable & { readonly isTTY?: boolean };
}
type Variables = Readonly<Record<string, string | undefined>>;

export interface World {
  readonly env: Variables;
  /** The folder that relative paths are taken from. */
  readonly folder: string;
  readonly streams: Streams;
  readonly parts: Parts;
  /** Calls the handler for each of the signals until the answer is called. */
  readonly onSignal: (names: readonly NodeJS.Signals[], handler: () => void) => () => void;
}

export interface Context extends World {
  /** One JSON document on standard output instead of words for people. */
  readonly json: boolean;
  readonly quiet: boolean;
  readonly debug: boolean;
  /** Writes the answer of a command: the value itself as JSON, or what `words` makes of it. */
  show(value: unknown, words: () => string): void;
  /** Writes a remark for people to standard error; scripts do not get it. */
  remark(text: string): void;
  /** The hub that this user is logged in to. */
  hub(): Promise<Client>;
}

export function openContext(world: World): Context {
  return withOptions(world, { json: false, quiet: false });
}

/** The same context once the options of the command are known. */
export function withOptions(world: World, { json, quiet }: { json: boolean; quiet: boolean }): Context {
  const { streams, env } = world;
  let client: Promise<Client> | null = null;
  return {
    ...world,
    json,
    quiet,
    debug: env["DROVER_DEBUG"] === "1",
    show: (value, words) => void streams.out.write(ended(json ? JSON.stringify(value, null, 2) : words())),
    remark: (text) => void (json || quiet || streams.err.write(ended(text))),
    hub: () => (client ??= connect(world)),
  };
}

async function connect(world: World): Promise<Client> {
  const [{ openSession }, { openClient }] = await Promise.all([import("./access/session.ts"), import("./client.ts")]);
  return openClient(await openSession(world));
}

const ended = (text: string): string => (text === "" || text.endsWith("\n") ? text : `${text}\n`);
