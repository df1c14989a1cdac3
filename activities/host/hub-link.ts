/**
 * The one way from a host, or from a caller's own computer, to the hub: reports, grants, bytes, and the connection to Temporal.
 *
 * The one idea: all of it goes to one gateway under one pinned authority, with one short-lived token that renews itself.
 */
import { randomUUIDv7 } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { NativeConnection } from "@temporalio/worker";
import type { Logger } from "pino";
import { FaultError } from "../../domain/errors.ts";
import {
  BatchAnswer,
  type BatchRequest,
  GrantAnswer,
  type GrantRequest,
  ReportAnswer,
  type ReportLine,
} from "../../domain/hosts/schema.ts";
import { hostTokenMs, signHostToken } from "../../security/host-tokens.ts";
import { hubClock, type HubClock } from "./hub-clock.ts";
import { hubHttp, type HubHttp, type HubRequest, jsonOf } from "./hub-link-http.ts";
import type { HostIdentity } from "./hub-link-identity.ts";
import { reportQueue } from "./hub-link-reports.ts";
import { storeHttp, type StoreHttp } from "../../stores/http.ts";
import { openStoreGates, type StoreGates } from "./store-gates.ts";
import { patiently } from "./patience.ts";

export { enrol } from "./hub-link-enrol.ts";
export { type HostIdentity, readIdentity, writeIdentity } from "./hub-link-identity.ts";

/** What a caller's own computer knows of the gateway, with the right to its transfer. */
export interface CallerIdentity {
  readonly hubUrl: string;
  readonly authority: string;
  readonly grpcAddress: string;
  readonly namespace: string;
  readonly token: () => Promise<string>;
}

export interface HubLink {
  readonly namespace: string;
  /** Of this process; inventories carry it. */
  readonly session: string;
  /** Lines are kept and sent again while the hub is away. Never fails. */
  report(lines: readonly ReportLine[]): Promise<ReportAnswer>;
  /** Waits for a hub that is away until `signal` ends it, without one for ever; a refusal is final. */
  grants(request: GrantRequest, signal?: AbortSignal): Promise<GrantAnswer>;
  /** Begins attempts of several operations of a batch: answers the fences of those that have not fallen out of it. Waits for a hub like `grants`. */
  begin(request: BatchRequest, signal?: AbortSignal): Promise<BatchAnswer>;
  /** The hub's time, by which grants end. */
  now(): number;
  /** How far this computer's clock is ahead of the hub's; null until the hub was heard. */
  clockOffsetMs(): number | null;
  /** A request to the gateway itself. `authorised` adds our token. */
  send(ask: HubRequest & { readonly authorised?: boolean }): Promise<IncomingMessage>;
  /** Stores that are reached by an address of their own, which a grant names. */
  readonly stores: Pick<StoreHttp, "send">;
  /** What all transfers here may take of stores that have limits. */
  readonly gates: StoreGates;
  /** One for all who ask, with its token renewed while it lives. */
  connection(): Promise<NativeConnection>;
  token(): Promise<string>;
  close(): Promise<void>;
}

/** Questions and reports are answered in milliseconds. On a line that is dead they must be asked again before the hub takes this host for lost, which is after 30 s. */
const questionMs = 10_000;
/** Renewed with a minute left, so that no call meets its end. */
const renewBeforeMs = 60_000;
const goodbyeMs = 3_000;
/** A store that works says something within a second or two; a crowded line or a failover may take tens. */
const storeSilentMs = 30_000;

export interface LinkOptions {
  readonly log: Logger;
  /** How long a store may be silent before it counts as away. */
  readonly storeSilentMs?: number;
}

export async function openHubLink(identity: HostIdentity | CallerIdentity, options: LinkOptions): Promise<HubLink> {
  const { log } = options;
  const session = randomUUIDv7();
  const clock = hubClock(log);
  const http = hubHttp(identity.hubUrl, identity.authority, ({ headers }) => clock.learn(headers.date));
  const { token, renew } = "token" in identity ? { token: identity.token, renew: null } : ownTokens(identity, session, clock, http);
  const sendOnce: HubLink["send"] = async ({ authorised = false, headers, ...ask }) =>
    http.send({ ...ask, headers: { ...headers, ...(authorised ? { authorization: `Bearer ${await token()}` } : {}) } });
  const send: HubLink["send"] = async (ask) => {
    const answer = await sendOnce(ask);
    if (answer.statusCode !== 401 || ask.authorised !== true || renew === null) return answer;
    // A clock that was set meanwhile: this very answer told the hub's time, so a token of now is right.
    answer.resume();
    renew();
    return sendOnce(ask);
  };
  const post = async (path: string, value: unknown, signal?: AbortSignal) => {
    const body = Buffer.from(JSON.stringify(value));
    const headers = { "content-type": "application/json" };
    return jsonOf(await send({ method: "POST", path, body, signal, headers, authorised: true, silentMs: questionMs }));
  };
  const queue = reportQueue(async (lines, signal) => ReportAnswer.parse(await post("/host/v1/report", { lines }, signal)), log);
  const temporal = temporalConnection(identity, token, log);
  const stores = storeHttp(options.storeSilentMs ?? storeSilentMs);
  const said = (line: ReportLine): ReportLine => (line.kind === "inventory" ? { ...line, session } : line);
  return {
    namespace: identity.namespace,
    session,
    token,
    send,
    stores,
    gates: openStoreGates(),
    now: clock.now,
    clockOffsetMs: clock.offsetMs,
    report: (lines) => queue.report(lines.map(said)),
    grants: async (request, signal) => GrantAnswer.parse(await patiently(() => post("/host/v1/grants", request, signal), signal)),
    begin: async (request, signal) => BatchAnswer.parse(await patiently(() => post("/host/v1/batches", request, signal), signal)),
    connection: temporal.open,
    close: () => closeLink(queue, temporal, [http, stores], send),
  };
}

async function closeLink(
  queue: ReturnType<typeof reportQueue>,
  temporal: { close(): Promise<void> },
  clients: readonly { close(): void }[],
  send: HubLink["send"],
): Promise<void> {
  await queue.close(goodbyeMs);
  // The next process need not wait until this one counts as silent. A hub that is away learns it by our silence.
  const signal = AbortSignal.timeout(goodbyeMs);
  await send({ method: "DELETE", path: "/host/v1/session", authorised: true, signal }).then(
    (answer) => answer.resume(),
    () => undefined,
  );
  await temporal.close();
  for (const client of clients) client.close();
}

/** Tokens are signed by the hub's clock, which is asked for once before the first. */
function ownTokens({ privateKey, hostId, hubId }: HostIdentity, session: string, clock: HubClock, http: HubHttp) {
  let held: { token: Promise<string>; until: number } | null = null;
  const heard = async () => {
    if (clock.offsetMs() === null) (await http.send({ method: "GET", path: "/host/v1/time" })).resume();
  };
  const token = async (): Promise<string> => {
    await heard();
    const now = clock.now();
    // One that lasts for longer than any token does was signed before the clock was set.
    if (!held || held.until < now || held.until > now + hostTokenMs)
      held = { token: signHostToken({ key: privateKey, hostId, hubId, session }, now), until: now + hostTokenMs - renewBeforeMs };
    return held.token;
  };
  return { token, renew: () => void (held = null) };
}

function temporalConnection(
  { grpcAddress, authority }: Pick<HostIdentity, "grpcAddress" | "authority">,
  token: () => Promise<string>,
  log: Logger,
) {
  let opened: Promise<NativeConnection> | null = null;
  let timer: NodeJS.Timeout | undefined;
  const connect = async () => {
    const tls = { serverRootCACertificate: Buffer.from(authority) };
    // What travels is encrypted before, so compressing it would only cost both sides time.
    const options = { address: grpcAddress, tls, apiKey: await token(), grpcCompression: { codec: "none" } } as const;
    const connection = await NativeConnection.connect(options).catch((cause: unknown) => {
      opened = null;
      throw new FaultError(
        { code: "hub_unavailable", message: `The gateway's Temporal front at ${grpcAddress} cannot be reached.` },
        { cause },
      );
    });
    const renew = async () => connection.setApiKey(await token());
    // Half of what a fresh token is sure to have left.
    timer = setInterval(
      () =>
        void renew().catch((err: unknown) =>
          log.warn({ event: "hub.token_failed", err }, "The token for Temporal was not renewed; it is tried again."),
        ),
      60_000,
    );
    timer.unref();
    return connection;
  };
  return {
    open: () => (opened ??= connect()),
    close: async () => {
      clearInterval(timer);
      const connection = await opened?.catch(() => undefined);
      await connection
        ?.close()
        .catch((err: unknown) =>
          log.warn({ event: "hub.close_failed", err }, "The connection to Temporal is still in use; it ends with the process."),
        );
    },
  };
}
