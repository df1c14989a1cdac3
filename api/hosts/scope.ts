/**
 * Which host a request of the wire's host API speaks of.
 *
 * The one idea: the header, else the configured default, else the only host; a request that needs one and finds none is told how to name it.
 */
import { findHost, listHosts } from "../../db/hosts.ts";
import { FaultError, unwrap } from "../../domain/errors.ts";
import type { Host } from "../../domain/hosts/schema.ts";
import type { Hub } from "../ports.ts";
import type { Call } from "../wire/mount.ts";

export const hostHeader = "X-Drover-Host";

/** Null: of all of them. */
export async function namedHost(hub: Hub, { c }: Pick<Call<unknown>, "c">): Promise<Host | null> {
  const named = c.req.header(hostHeader) ?? hub.settings.defaultHost;
  if (named !== undefined && named !== "") return unwrap(await findHost(hub.db, named));
  const [only, other] = await listHosts(hub.db);
  return only && !other ? only : null;
}

export async function mustNameHost(hub: Hub, call: Pick<Call<unknown>, "c">): Promise<Host> {
  const host = await namedHost(hub, call);
  if (host) return host;
  throw new FaultError({ code: "host_unnamed", message: `This hub has several hosts or none: name one in the header ${hostHeader}.` });
}
