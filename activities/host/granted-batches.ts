/**
 * Collects the grants that are wanted in one moment into one question, and keeps the answers while they last.
 *
 * The one idea: a transfer asks for hundreds of objects within milliseconds; a short wait makes that one request, not hundreds.
 */
import { setTimeout as after } from "node:timers/promises";
import { FaultError } from "../../domain/errors.ts";
import type { GrantAnswer, GrantedObject } from "../../domain/hosts/schema.ts";

/** With a SHA-256 and a size it is a write, without them a read. */
export interface GrantAsk {
  readonly key: string;
  readonly sha256?: string;
  readonly bytes?: number;
}
/** A grant with the certificates that its store is known by. */
export type Granted = GrantedObject & { readonly ca: string | undefined };
export interface GrantQuestion {
  readonly read: string[];
  readonly write: Array<{ key: string; sha256: string; bytes: number }>;
}

/** What the hub takes in one question. */
const most = 256;
/** Shorter than anybody notices, longer than a burst of asks. */
const gatherMs = 5;
/** A grant with less left might end in the middle of a large read. */
const spareMs = 60_000;

/** `now` is the hub's time, by which grants end. */
export function grantBatches(ask: (question: GrantQuestion) => Promise<GrantAnswer>, now: () => number) {
  const held = new Map<string, Granted>();
  let open: { asks: Map<string, GrantAsk>; answer: Promise<Map<string, Granted>> } | null = null;

  const begin = () => {
    const asks = new Map<string, GrantAsk>();
    const answer = after(gatherMs).then(async () => {
      if (open?.asks === asks) open = null;
      const { objects, ca } = await ask(questionOf([...asks.values()]));
      return new Map(objects.map((object) => [nameOf(object.method, object.key), { ...object, ca: ca ?? undefined }]));
    });
    return { asks, answer };
  };
  return {
    grant: async (wanted: GrantAsk): Promise<Granted> => {
      const name = nameOf(isWrite(wanted) ? "PUT" : "GET", wanted.key);
      const known = held.get(name);
      if (known && Date.parse(known.expiresAt) - now() > spareMs) return known;
      if (!open || open.asks.size >= most) open = begin();
      open.asks.set(name, wanted);
      const object = (await open.answer).get(name);
      if (!object)
        throw new FaultError({ code: "grant_refused", message: `The hub did not answer for ${wanted.key}.`, subject: wanted.key });
      // A write happens once: keeping its grant would only fill the memory.
      if (object.method === "GET") held.set(name, object);
      return object;
    },
    forget: (wanted: GrantAsk): void => void held.delete(nameOf(isWrite(wanted) ? "PUT" : "GET", wanted.key)),
  };
}

const nameOf = (method: string, key: string): string => `${method} ${key}`;
const isWrite = (ask: GrantAsk): ask is Required<GrantAsk> => ask.sha256 !== undefined && ask.bytes !== undefined;
const questionOf = (asks: readonly GrantAsk[]): GrantQuestion => ({
  read: asks.filter((ask) => !isWrite(ask)).map(({ key }) => key),
  write: asks.filter(isWrite).map(({ key, sha256, bytes }) => ({ key, sha256, bytes })),
});
