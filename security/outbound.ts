/**
 * Requests that the hub sends to an address which a caller named.
 *
 * The one idea: what counts is the address that is connected to, not the name that was given. Names are resolved here and each address is judged at the
 * connection itself, so no name changes its meaning between a check and its use; a redirect is an answer, never followed.
 */
import { lookup } from "node:dns";
import { once } from "node:events";
import { request as requestPlain, type IncomingMessage } from "node:http";
import { request as requestTls } from "node:https";
import { BlockList, connect, isIP, type Socket } from "node:net";
import type { Readable } from "node:stream";
import { FaultError } from "../domain/errors.ts";

/** `public`: the Internet only; `private`: also the networks of an organisation; `any`: whatever answers. */
export type Reach = "public" | "private" | "any";

export interface Outgoing {
  readonly method: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  readonly reach: Reach;
  /** What may be reached beyond that, as an operator said it. */
  readonly also?: Networks;
  readonly signal: AbortSignal;
}
export interface Incoming {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: IncomingMessage;
}

/** This computer itself, its link (where clouds keep their metadata), and what is no single computer. */
const never = listOf(
  ["0.0.0.0", 8],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["192.0.0.0", 24],
  ["224.0.0.0", 3],
  ["::", 128],
  ["::1", 128],
  ["fe80::", 10],
  ["fd00:ec2::254", 128],
  ["ff00::", 8],
  // Addresses of version 4 in disguise: translated, and tunnelled.
  ["64:ff9b::", 96],
  ["64:ff9b:1::", 48],
  ["2002::", 16],
  ["2001::", 32],
);
const ofOrganisations = listOf(
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["172.16.0.0", 12],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["fc00::", 7],
  ["fec0::", 10],
);

/** Networks in CIDR notation, such as 10.1.0.0/16. */
export type Networks = Pick<BlockList, "check">;
export const networksOf = (written: readonly string[]): Networks =>
  listOf(
    ...written.map((network): [string, number] => {
      const [address = "", bits] = network.split("/");
      return [address, Number(bits ?? (isIP(address) === 6 ? 128 : 32))];
    }),
  );

function listOf(...networks: ReadonlyArray<readonly [address: string, bits: number]>): BlockList {
  const list = new BlockList();
  for (const [address, bits] of networks) list.addSubnet(address, bits, isIP(address) === 6 ? "ipv6" : "ipv4");
  return list;
}

/** Whether the hub may connect to this address. */
export function mayReach(address: string, reach: Reach, also?: Networks): boolean {
  const family = isIP(address) === 6 ? "ipv6" : "ipv4";
  if (isIP(address) === 0) return false;
  if (reach === "any" || also?.check(address, family)) return true;
  return !never.check(address, family) && (reach === "private" || !ofOrganisations.check(address, family));
}

const forbidden = (name: string) =>
  new FaultError({
    code: "address_forbidden",
    message: `The hub does not connect to ${name}: access to this url is not allowed.`,
    subject: name,
  });

/** Fails with `address_forbidden`, or with what the connection failed with. The answer may be of any status. */
export async function outbound(url: URL, { method, headers, body, reach, also, signal }: Outgoing): Promise<Incoming> {
  if (url.protocol !== "http:" && url.protocol !== "https:") throw forbidden(url.protocol);
  const name = url.hostname.replace(/^\[|\]$/g, "");
  // An address needs no look-up, and gets none.
  if (isIP(name) !== 0 && !mayReach(name, reach, also)) throw forbidden(name);
  const send = url.protocol === "https:" ? requestTls : requestPlain;
  return new Promise((resolve, reject) => {
    // Said, since of some methods nobody expects a body.
    const length = body === undefined ? {} : { "Content-Length": String(Buffer.byteLength(body)) };
    const sent = send(url, { method, headers: { ...headers, ...length }, signal, agent: false, lookup: judging(reach, also) });
    sent.on("response", (response) => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: response }));
    sent.on("error", reject);
    sent.end(body);
  });
}

/** A plain connection to the same rules; the signal bounds the time until there is one. Fails with `address_forbidden`, or with what the connection failed with. */
export async function connection(host: string, port: number, { reach, signal }: Pick<Outgoing, "reach" | "signal">): Promise<Socket> {
  if (isIP(host) !== 0 && !mayReach(host, reach)) throw forbidden(host);
  const socket = connect({ host, port, lookup: judging(reach, undefined) });
  await once(socket, "connect", { signal }).catch((error: unknown) => {
    socket.destroy();
    throw error;
  });
  return socket;
}

type Lookup = NonNullable<Parameters<typeof requestPlain>[1]["lookup"]>;

/** Answers the addresses that may be reached; a name that has none of those is refused. */
const judging =
  (reach: Reach, also: Networks | undefined): Lookup =>
  (name, options, done) =>
    lookup(name, { ...options, all: true }, (error, addresses) => {
      const allowed = (addresses ?? []).filter(({ address }) => mayReach(address, reach, also));
      const [first] = allowed;
      if (error) done(error, "");
      else if (!first) done(forbidden(name), "");
      else if (options.all) done(null, allowed);
      else done(null, first.address, first.family);
    });

/** The whole body as text, up to a size. */
export async function textOf(body: Readable, mostBytes: number, what: string): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of body as AsyncIterable<Buffer>) {
    bytes += part.byteLength;
    if (bytes > mostBytes) {
      body.destroy();
      throw new FaultError({ code: "invalid_request", message: `${what} answers with more than ${mostBytes} bytes.` });
    }
    parts.push(part);
  }
  return Buffer.concat(parts).toString("utf8");
}
