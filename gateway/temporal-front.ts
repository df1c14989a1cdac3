/**
 * The gRPC front through which hosts reach Temporal: TLS, a bearer token with every call, a short list of methods.
 *
 * The one idea: methods that are not listed are not registered, so the server itself answers UNIMPLEMENTED; nobody can forget to refuse one.
 * A long poll ends upstream when its stream ends here, so that no task is handed to a host that has gone.
 */
import { type handleUnaryCall, Metadata, Server, type ServerUnaryCall, type ServiceDefinition, status } from "@grpc/grpc-js";
import type { Logger } from "pino";
import { FaultError, type Kind, factsOf } from "../domain/errors.ts";
import { foreignFault } from "../domain/foreign.ts";
import { type Caller, nameOf } from "./callers.ts";
import type { GatewayMetrics } from "./metrics.ts";
import { type KeyPair, RenewableCredentials } from "./server-credentials.ts";
import { type FrontOptions, type Method, temporalMethods } from "./temporal-methods.ts";

export interface TemporalFrontOptions extends FrontOptions {
  readonly identify: (authorization: string | undefined) => Promise<Caller>;
  readonly tls: KeyPair;
  readonly host: string;
  readonly port: number;
  readonly log: Logger;
  readonly metrics: GatewayMetrics;
}

export interface TemporalFront {
  readonly port: number;
  renew(tls: KeyPair): void;
  /** Ends long polls with an empty answer, lets other calls end, and breaks off what is left after the grace. */
  close(graceMs: number): Promise<void>;
}

const servicePath = "/temporal.api.workflowservice.v1.WorkflowService/";
/** A client of an activity worker asks for 70 s at most; this bounds those that name no deadline. */
const longestCallMs = 90_000;
/** A worker that was refused goes on asking, many times a second: once a minute is told. */
const tellEveryMs = 60_000;

export async function startTemporalFront(options: TemporalFrontOptions): Promise<TemporalFront> {
  const credentials = new RenewableCredentials(options.tls);
  const polls = new AbortController();
  const server = new Server({
    // Payloads are bounded by Temporal itself; its own limit is 4 MiB.
    "grpc.max_receive_message_length": 8 * 1024 * 1024,
    "grpc.max_send_message_length": -1,
    // A host has a dozen pollers and as many answers on their way; one that opens more waits by itself.
    "grpc.max_concurrent_streams": 200,
    // Networks drop idle connections without a word; a host that vanished is noticed after 30 + 10 s.
    "grpc.keepalive_time_ms": 30_000,
    "grpc.keepalive_timeout_ms": 10_000,
  });
  const tell = teller(options.log);
  for (const [name, method] of Object.entries(temporalMethods(options))) {
    server.addService(definition(name, method), { [name]: handler({ ...options, name, method, closing: polls.signal, tell }) });
  }
  const port = await bind(server, `${options.host}:${options.port}`, credentials);
  return { port, renew: (tls) => credentials.renew(tls), close: (graceMs) => close(server, polls, graceMs) };
}

function definition(name: string, { decode, encode }: Method): ServiceDefinition {
  const call = {
    path: servicePath + name,
    requestStream: false,
    responseStream: false,
    requestDeserialize: decode,
    responseSerialize: (answer: unknown) => Buffer.from(encode(answer)),
    // Of a client, which this is not.
    requestSerialize: () => Buffer.alloc(0),
    responseDeserialize: (bytes: Buffer) => bytes,
  } as const;
  return { [name]: call };
}

interface Handling extends TemporalFrontOptions {
  readonly name: string;
  readonly method: Method;
  readonly closing: AbortSignal;
  readonly tell: (caller: string, error: FaultError) => void;
}

function handler({ connection, identify, name, method, closing, tell, log, metrics }: Handling): handleUnaryCall<unknown, unknown> {
  return (call, respond) => {
    const gone = new AbortController();
    call.on("cancelled", () => gone.abort());
    const signal = method.isPoll ? AbortSignal.any([gone.signal, closing]) : gone.signal;
    const run = async () => {
      const caller = await identify(call.metadata.get("authorization")[0]?.toString());
      try {
        const act = () => method.run(call.request, caller, signal);
        return await connection.withAbortSignal(signal, () => connection.withDeadline(deadlineOf(call), act));
      } catch (error) {
        if (error instanceof FaultError) tell(nameOf(caller), error);
        throw error;
      }
    };
    if (method.isPoll) metrics.polls.inc();
    const ended = run().finally(() => method.isPoll && metrics.polls.dec());
    ended.then(
      (answer) => respond(null, answer),
      (error: unknown) => {
        if (gone.signal.aborted) return respond({ code: status.CANCELLED, details: "The caller has gone." });
        if (method.isPoll && closing.aborted) return respond(null, {});
        if (error instanceof FaultError) metrics.refusals.inc({ code: error.fault.code });
        respond(statusOf(error, name, log));
      },
    );
  };
}

function deadlineOf(call: ServerUnaryCall<unknown, unknown>): number {
  const asked = call.getDeadline();
  const at = asked instanceof Date ? asked.getTime() : asked;
  return Math.min(at, Date.now() + longestCallMs);
}

const codeOfKind: Readonly<Record<Kind, status>> = {
  invalid: status.INVALID_ARGUMENT,
  unauthenticated: status.UNAUTHENTICATED,
  forbidden: status.PERMISSION_DENIED,
  not_found: status.NOT_FOUND,
  conflict: status.FAILED_PRECONDITION,
  precondition_failed: status.FAILED_PRECONDITION,
  limited: status.RESOURCE_EXHAUSTED,
  internal: status.INTERNAL,
  corrupt: status.DATA_LOSS,
  unavailable: status.UNAVAILABLE,
  late: status.DEADLINE_EXCEEDED,
};

/** What the SDK on the host is told. Temporal's own errors pass with their details, save those that speak of our rights there. */
function statusOf(error: unknown, name: string, log: Logger) {
  if (error instanceof FaultError) return { code: codeOfKind[factsOf(error.fault.code).kind], details: error.message };
  if (error instanceof Error && "code" in error && typeof error.code === "number" && "details" in error) {
    const ours = error.code === status.UNAUTHENTICATED || error.code === status.PERMISSION_DENIED;
    if (!ours) {
      const metadata = "metadata" in error && error.metadata instanceof Metadata ? { metadata: error.metadata } : {};
      return { code: error.code, details: String(error.details), ...metadata };
    }
  }
  // A database that restarts: the loops tell of it, and every call of every host meets it.
  const fault = foreignFault(error);
  if (fault?.code === "hub_unavailable") return { code: status.UNAVAILABLE, details: fault.message };
  log.error({ event: "gateway.call_failed", method: name, err: error }, "A call of a host failed unexpectedly.");
  return { code: status.UNAVAILABLE, details: "The hub cannot reach Temporal at the moment." };
}

function teller(log: Logger): (caller: string, error: FaultError) => void {
  const told = new Map<string, number>();
  return (caller, { fault }) => {
    const about = `${caller} ${fault.code} ${fault.message}`;
    const last = told.get(about);
    if (last !== undefined && Date.now() - last < tellEveryMs) return;
    if (told.size > 1000) told.clear();
    told.set(about, Date.now());
    log.warn({ event: "gateway.refused", caller, code: fault.code, subject: fault.subject }, fault.message);
  };
}

function bind(server: Server, address: string, credentials: RenewableCredentials): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(address, credentials, (error, port) => {
      if (!error) return resolve(port);
      const message = `The gateway cannot listen on ${address} for gRPC: another program may use the port.`;
      reject(new FaultError({ code: "port_in_use", message, subject: address }, { cause: error }));
    });
  });
}

async function close(server: Server, polls: AbortController, graceMs: number): Promise<void> {
  polls.abort();
  let timer: NodeJS.Timeout | undefined;
  const ended = new Promise<void>((resolve) => {
    server.tryShutdown(() => resolve());
    timer = setTimeout(resolve, graceMs);
  });
  await ended;
  clearTimeout(timer);
  server.forceShutdown();
}
