/**
 * Headers that nearly every answer has, and answers that are ready bytes.
 *
 * The one idea: where a server's answer is at hand they are told to it directly; a `Headers` object per answer costs more than reading what is answered.
 */
import { ServerResponse } from "node:http";
import type { Context } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";

const outgoingOf = (c: Context): ServerResponse | null => {
  const outgoing: unknown = c.env?.outgoing;
  return outgoing instanceof ServerResponse ? outgoing : null;
};

export function setHeader(c: Context, name: string, value: string): void {
  const outgoing = outgoingOf(c);
  if (!outgoing) return c.header(name, value);
  if (!outgoing.headersSent) outgoing.setHeader(name, value);
}

export const readyAnswer = (
  c: Context,
  body: string | Uint8Array<ArrayBuffer>,
  { status, headers }: { status: ContentfulStatusCode; headers: Record<string, string> },
): Response => (outgoingOf(c) ? new Response(body, { status, headers }) : c.body(body, status, headers));
