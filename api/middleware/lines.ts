/**
 * Lists as JSON lines, for whoever asks for `application/x-ndjson`: all of a list, one item per line.
 *
 * The one idea: the list's own route answers page after page, each only when the last one was taken, with the caller's rights of that moment; so a list of
 * any length costs a page of memory, and there is no second way to read one.
 */
import type { Context, MiddlewareHandler, Next } from "hono";
import { z } from "zod";
import type { ApiEnv } from "../http.ts";

const type = "application/x-ndjson";
/** The most that a page may have. */
const pageSize = "500";
const Page = z.union([
  z.array(z.unknown()).transform((items) => ({ items, nextCursor: null })),
  z.object({ items: z.array(z.unknown()), nextCursor: z.string().nullish() }),
]);
type Page = z.output<typeof Page>;

type Ask = (request: Request, env: Context["env"]) => Response | Promise<Response>;

/** `ask` answers a request as the whole API does. */
export const asLines =
  (ask: Ask): MiddlewareHandler<ApiEnv> =>
  (c, next) =>
    wantsLines(c) ? told(c, next, ask) : next();

const wantsLines = ({ req }: Context): boolean => {
  const accepted = req.method === "GET" ? req.header("Accept") : undefined;
  return accepted !== undefined && accepted.split(",").some((part) => part.trim().startsWith(type));
};

async function told(c: Context<ApiEnv>, next: Next, ask: Ask): Promise<void> {
  await next();
  if (c.res.status !== 200 || !(c.res.headers.get("Content-Type") ?? "").startsWith("application/json")) return;
  const first = Page.safeParse(await c.res.clone().json());
  // One thing is no list: it stays what it is.
  if (!first.success) return;
  const more = (cursor: string) => ask(pageAfter(c, cursor), c.env);
  const headers = new Headers(c.res.headers);
  for (const name of ["Content-Length", "ETag"]) headers.delete(name);
  headers.set("Content-Type", type);
  c.res = undefined;
  c.res = new Response(linesOf(first.data, more), { status: 200, headers });
}

function pageAfter(c: Context<ApiEnv>, cursor: string): Request {
  const url = new URL(c.req.url);
  url.searchParams.set("cursor", cursor);
  if (!url.searchParams.has("limit")) url.searchParams.set("limit", pageSize);
  const headers = new Headers(c.req.raw.headers);
  headers.set("Accept", "application/json");
  // What time there is, the first page's signal already says.
  for (const name of ["If-None-Match", "If-Modified-Since", "Request-Timeout"]) headers.delete(name);
  return new Request(url, { headers, signal: c.req.raw.signal });
}

function linesOf(first: Page, more: (cursor: string) => Response | Promise<Response>): ReadableStream<Uint8Array> {
  let page: Page | null = first;
  return new ReadableStream({
    pull: async (controller) => {
      if (page === null) return controller.close();
      const { items, nextCursor }: Page = page;
      page = null;
      const text = items.map((item) => `${JSON.stringify(item)}\n`).join("");
      controller.enqueue(new TextEncoder().encode(text));
      if (nextCursor === null || nextCursor === undefined) return;
      const answer = await more(nextCursor);
      // A list that ends early must not look whole: the connection breaks.
      if (answer.status !== 200) throw new Error(`The list could not be read on: status ${answer.status}.`);
      page = Page.parse(await answer.json());
    },
  });
}
