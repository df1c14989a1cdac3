/**
 * What the edge is to carry: hosts of the reverse proxy, each an address with HTTP routes or one TCP route to machines or other targets.
 *
 * The one idea: a route's kind and its target are single-valued here, so a row that could be read in two ways cannot be written.
 */
import { z } from "zod";
import { Uuid } from "../ids.ts";

/** A machine by id or name, or an address; a machine wins where both were given. */
const Target = z.object({ machine: z.string().nullable(), host: z.string().nullable(), port: z.int().min(1).max(65_535) });

export const HttpRoute = z.object({
  id: Uuid,
  /** What requests it takes: both are looked for anywhere in a request's path, the second as a regular expression. */
  match: z.object({ kind: z.enum(["path", "pattern"]), text: z.string() }),
  target: Target,
  scheme: z.enum(["http", "https"]),
  requestHeaders: z.record(z.string(), z.string()),
  responseHeaders: z.record(z.string(), z.string()),
});
export type HttpRoute = z.infer<typeof HttpRoute>;

export const TcpRoute = z.object({ id: Uuid, target: Target });
export type TcpRoute = z.infer<typeof TcpRoute>;

export const Cors = z.object({
  enabled: z.boolean(),
  origins: z.array(z.string()),
  methods: z.array(z.string()),
  headers: z.array(z.string()),
});
export type Cors = z.infer<typeof Cors>;
