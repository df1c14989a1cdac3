/**
 * Where a request comes from: the address that limits, the guard of logins, the audit and the log count and tell.
 *
 * The one idea: each proxy adds the address that it was called from at the end, so the list is read from there, and only as far as its writers are
 * proxies that the operator named. Whatever stands before the first address of somebody else was sent by that somebody, and is never believed.
 */
import { IncomingMessage } from "node:http";
import { isIP } from "node:net";
import type { Context } from "hono";
import { networksOf } from "../security/outbound.ts";

export interface ProxySettings {
  /** Networks of proxies whose word on their callers counts. */
  readonly trusted: readonly string[];
  /** The one header that they write: another would come from the client as it is. */
  readonly header: "x-forwarded-for" | "forwarded";
}

/** Of a call inside the process, which no connection brought. */
const nowhere = "unknown";

/** The address at the other end of the connection: a client's, or a proxy's. */
export function peerOf(c: Context): string {
  const incoming: unknown = c.env?.incoming;
  return incoming instanceof IncomingMessage ? plain(incoming.socket.remoteAddress ?? nowhere) : nowhere;
}

export function sources({ trusted, header }: ProxySettings): (c: Context) => string {
  if (trusted.length === 0) return peerOf;
  const networks = networksOf(trusted);
  const isTrusted = (address: string) => isIP(address) !== 0 && networks.check(address, isIP(address) === 6 ? "ipv6" : "ipv4");
  const told = header === "forwarded" ? byForwarded : byForwardedFor;
  return (c) => {
    let known = peerOf(c);
    for (const address of told(c.req.header(header) ?? "").toReversed()) {
      // What is no address tells nothing: the proxy that wrote it is as far as anybody knows.
      if (!isTrusted(known) || address === null) break;
      known = address;
    }
    return known;
  };
}

const byForwardedFor = (header: string): Array<string | null> => header.split(",").map(addressIn);

/** RFC 7239: `for=192.0.2.60;proto=https, for="[2001:db8::17]:4711"`. */
const byForwarded = (header: string): Array<string | null> =>
  header.split(",").map((element) => addressIn(/(?:^|;)\s*for\s*=\s*("[^"]*"|[^;,\s]*)/i.exec(element)?.[1]?.replaceAll('"', "") ?? ""));

/** With or without a port; null for a name, `unknown`, or anything else. */
function addressIn(written: string): string | null {
  const word = written.trim();
  const address = /^\[([^\]]*)\](?::\d+)?$/.exec(word)?.[1] ?? /^([\d.]+):\d+$/.exec(word)?.[1] ?? word;
  return isIP(address) === 0 ? null : plain(address);
}

/** One spelling for every address; one of version 4 has its own, also where the socket speaks version 6. */
function plain(address: string): string {
  if (isIP(address) !== 6) return address.toLowerCase();
  const [bare = "", zone] = address.split("%");
  const usual = new URL(`http://[${bare}]`).hostname.slice(1, -1);
  const [, high, low] = /^::ffff:([\da-f]+):([\da-f]+)$/.exec(usual) ?? [];
  if (high === undefined || low === undefined) return zone === undefined ? usual : `${usual}%${zone}`;
  return [high, low].flatMap((word) => [Number.parseInt(word, 16) >> 8, Number.parseInt(word, 16) & 255]).join(".");
}

/** Groups of 16 bits that name a network of version 6, of eight: whoever has one of its addresses has all of them. */
const networkGroups = 4;

/** What is counted against as one: an address of version 4, the /64 of one of version 6. */
export function networkOf(source: string): string {
  const address = plain(source);
  if (isIP(address) !== 6) return address;
  const [head = "", tail] = (address.split("%")[0] ?? "").split("::");
  const groupsIn = (part: string) => part.split(":").filter((group) => group !== "");
  const [before, after] = [groupsIn(head), groupsIn(tail ?? "")];
  const all = [...before, ...Array.from({ length: 8 - before.length - after.length }, () => "0"), ...after];
  return `${all.slice(0, networkGroups).join(":")}::/64`;
}
