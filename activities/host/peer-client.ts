/**
 * Asks other hosts for chunks of one image, under the certificate that the hub gave for it.
 *
 * The one idea: a peer is reached by the address that the hub told and believed by the host id in its certificate; whatever goes wrong is an error of that peer
 * alone.
 */
import { X509Certificate } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { Agent, request } from "node:https";
import { createSecureContext } from "node:tls";
import type { PeerAnswer } from "../../domain/hosts/peers.ts";
import { rowSet, type Neighbour, type Sent } from "../../images/near.ts";
import { chunkBytes } from "../../images/format.ts";
import { readPeer } from "../../security/peer-certificates.ts";
import { mostRows, rowsHeader, takingHeader } from "./peer-port.ts";

interface Trust {
  readonly ca: string;
  readonly key: string;
  readonly digest: string;
}

/** Two reads and a question. */
const connections = 3;
/** A tree of a disk of a terabyte has so many rows. */
const mostRowsKnown = 1 << 23;
/** A transfer reads eight parts of the store at once. */
const mostTaking = 64;

export function peerClient({ ca, key, digest }: Trust) {
  // One for each certificate: what is on its way under the last one comes to its end.
  const agents: Agent[] = [];
  const neighbours = new Map<string, Neighbour>();
  const open = ({ hostId, host, port }: PeerAnswer["peers"][number]): Neighbour => {
    const send = (path: string, body: Buffer | undefined, signal: AbortSignal) =>
      new Promise<IncomingMessage>((resolve, reject) => {
        const options = { host, port, path, signal, servername: "", agent: newest(agents) };
        const checkServerIdentity = (_: string, { raw }: { raw: Buffer }) => strangerTo(hostId, raw);
        const sent = request({ ...options, checkServerIdentity, method: body ? "POST" : "GET" }, resolve);
        sent.on("error", reject);
        sent.end(body);
      });
    return {
      id: hostId,
      rows: async (signal) => readRows(await send(`/peer/v1/images/${digest}`, undefined, signal)),
      read: async (rows, signal) => {
        if (rows.length > mostRows) throw new Error("These are more chunks than a peer hands out at once.");
        const asked = Buffer.alloc(rows.length * 4);
        rows.forEach((row, n) => asked.writeUInt32LE(row, n * 4));
        return readChunks(await send(`/peer/v1/images/${digest}/chunks`, asked, signal), rows.length);
      },
    };
  };
  return {
    neighbours: (): Neighbour[] => [...neighbours.values()],
    /** Takes the hub's newest answer: those who are gone are asked no more. Under the certificate that it leaves as it is, connections are kept. */
    learn: ({ certificate, peers }: Pick<PeerAnswer, "certificate" | "peers">): void => {
      if (certificate !== null) agents.push(agentUnder({ ca, key, cert: certificate }));
      const named = new Set(peers.map(({ hostId }) => hostId));
      for (const id of neighbours.keys()) if (!named.has(id)) neighbours.delete(id);
      for (const peer of peers) if (!neighbours.has(peer.hostId)) neighbours.set(peer.hostId, open(peer));
    },
    knows: (hostId: string): boolean => neighbours.has(hostId),
    close: (): void => agents.forEach((agent) => agent.destroy()),
  };
}

/** Keys and certificates are read once, not for each connection. */
const agentUnder = (trust: { readonly ca: string; readonly key: string; readonly cert: string }): Agent =>
  new Agent({
    keepAlive: true,
    maxSockets: connections,
    secureContext: createSecureContext({ ...trust, minVersion: "TLSv1.3" }),
    minVersion: "TLSv1.3",
  });

function newest(agents: readonly Agent[]): Agent {
  const agent = agents.at(-1);
  if (agent) return agent;
  throw new Error("The hub gave no certificate for this transfer.");
}

function strangerTo(hostId: string, raw: Buffer): Error | undefined {
  return readPeer(new X509Certificate(raw))?.hostId === hostId ? undefined : new Error(`The peer is not the host ${hostId}.`);
}

async function readRows(answer: IncomingMessage): Promise<Awaited<ReturnType<Neighbour["rows"]>>> {
  if (answer.statusCode === 404) {
    answer.resume();
    return "none";
  }
  const told = answer.headers[rowsHeader];
  const rows = Number(told);
  if (answer.statusCode !== 200 || (told !== "all" && !(rows >= 0 && rows <= mostRowsKnown))) throw refused(answer);
  const bits = await bodyOf(answer, told === "all" ? 0 : Math.ceil(rows / 8));
  return told === "all" ? "all" : { rows: rowSet(rows, bits), taking: takingOf(answer.headers[takingHeader]) };
}

function takingOf(told: string | string[] | undefined): number[] {
  const marks = String(told ?? "").split(",");
  return marks.slice(0, mostTaking).flatMap((mark) => (/^\d{1,10}$/.test(mark) ? [Number(mark)] : []));
}

async function readChunks(answer: IncomingMessage, rows: number): Promise<Sent | "busy"> {
  if (answer.statusCode === 503) {
    answer.resume();
    return "busy";
  }
  if (answer.statusCode !== 200) throw refused(answer);
  const whole = await bodyOf(answer, rows * (chunkBytes + 4));
  if (whole.byteLength < rows * 4) throw refused(answer);
  const head = new DataView(whole.buffer, 0, rows * 4);
  const lengths = Array.from({ length: rows }, (_, n) => head.getUint32(n * 4, true));
  return { lengths, body: whole.subarray(rows * 4) };
}

/** In memory of its own, which moves to the thread that verifies it. */
async function bodyOf(answer: IncomingMessage, limitBytes: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = Number(answer.headers["content-length"]);
  if (!(bytes <= limitBytes)) throw refused(answer);
  const whole = new Uint8Array(bytes);
  let at = 0;
  for await (const part of answer) {
    whole.set(part as Buffer, at);
    at += (part as Buffer).byteLength;
  }
  if (at < bytes) throw refused(answer);
  return whole;
}

function refused(answer: IncomingMessage): Error {
  answer.destroy();
  return new Error(`The peer answered ${answer.statusCode} with what is no answer to this question.`);
}
