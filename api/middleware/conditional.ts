/**
 * Conditional reads: an `ETag` on what is read, 304 for whoever has it already, and 412 for whoever would change what they have not seen.
 *
 * The one idea: a mark is of what this caller gets to see, so it can tell nobody of anything else. Where rows have versions the mark is made of those,
 * and what is known already is not even written; elsewhere it is a hash of the answer.
 */
import { createHash } from "node:crypto";
import type { Context, MiddlewareHandler, TypedResponse } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import type { JSONParsed } from "hono/utils/types";
import type { Written } from "../../db/machine-json.ts";
import { FaultError } from "../../domain/errors.ts";
import { readyAnswer } from "../headers.ts";
import type { ApiEnv } from "../http.ts";

/** Nobody but the caller keeps it, and asks each time whether it still is so. */
const keeping = { "Cache-Control": "private, no-cache" };
const reads = { "Content-Type": "application/json", ...keeping };
/** The wire answers some reads with 202. */
const answered = new Set([200, 202]);

export const etagOf = (version: string): string => `"${version}"`;

/** Marks the answers of all reads that nobody else marks. */
export const marked: MiddlewareHandler<ApiEnv> = (c, next) => {
  if (c.req.method === "GET") {
    const json = (value: unknown, status = 200, headers: Record<string, string> = {}) => {
      const text = JSON.stringify(value);
      const body = () => c.body(text, status as 200, { "Content-Type": "application/json", ...headers });
      if (!answered.has(status)) return body();
      const etag = etagOf(createHash("sha1").update(text).digest("base64url"));
      if (knows(c, etag)) return unchanged(c, etag);
      c.header("ETag", etag);
      c.header("Cache-Control", keeping["Cache-Control"]);
      return body();
    };
    c.json = json as unknown as typeof c.json;
  }
  return next();
};

/** An answer whose JSON says a `T`. */
type Told<T> = Response & TypedResponse<JSONParsed<T>, 200, "json">;

interface Ask {
  readonly whole: () => Promise<Written>;
  readonly version?: () => Promise<string>;
  readonly status?: ContentfulStatusCode;
}

/** Answers with what was written, or with 304; `version` tells first whether writing is needed. */
export async function answerWritten<T>(c: Context<ApiEnv>, ask: Ask): Promise<Told<T>> {
  return (await conditionally(c, ask)) as Told<T>;
}

async function conditionally(c: Context<ApiEnv>, { whole, version, status = 200 }: Ask): Promise<Response> {
  if (version && c.req.header("If-None-Match") !== undefined) {
    const etag = etagOf(await version());
    if (knows(c, etag)) return unchanged(c, etag);
  }
  const written = await whole();
  const etag = etagOf(written.version);
  return knows(c, etag) ? unchanged(c, etag) : readyAnswer(c, written.json, { status, headers: { ...reads, ETag: etag } });
}

const unchanged = (c: Context, etag: string): Response => c.body(null, 304, { ETag: etag, ...keeping });

const knows = (c: Context, etag: string): boolean => named(c.req.header("If-None-Match"), etag) === true;

/** Refuses a change of what is not any more as its caller knows it. */
export function mustMatch(c: Context<ApiEnv>, version: string, name: string): void {
  if (named(c.req.header("If-Match"), etagOf(version)) !== false) return;
  throw new FaultError({ code: "changed_meanwhile", message: `${name} is not as If-Match has it any more.`, subject: name });
}

/** Undefined where the header is missing. */
function named(header: string | undefined, etag: string): boolean | undefined {
  if (header === undefined) return undefined;
  return header.trim() === "*" || header.split(",").some((one) => one.trim().replace(/^W\//, "") === etag);
}
