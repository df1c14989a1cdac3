/**
 * Ports of this computer: which are taken, and which are free.
 *
 * The one idea: all ports are looked at before anything starts, and a taken one is named with its owner-to-be and the variable that moves it.
 */
import { connect, createServer, type Server } from "node:net";
import { setTimeout as after } from "node:timers/promises";
import { FaultError } from "../domain/errors.ts";

export interface WantedPort {
  readonly port: number;
  readonly host: string;
  /** Whose port it is, as people call it. */
  readonly owner: string;
  readonly variable: string;
}

/** Fails with every taken port in one message; waits up to `patienceMs` for those that an ended run is about to give back. */
export async function assertPortsFree(wanted: readonly WantedPort[], patienceMs = 0): Promise<void> {
  const deadline = Date.now() + patienceMs;
  for (;;) {
    const states = await Promise.all(wanted.map(async (one) => ({ ...one, taken: one.port !== 0 && (await isTaken(one)) })));
    const taken = states.filter((one) => one.taken);
    if (taken.length === 0) return;
    if (Date.now() >= deadline) {
      const list = taken.map(({ port, owner, variable }) => `port ${port} of ${owner} (change it with ${variable})`).join(", ");
      throw new FaultError({ code: "port_in_use", message: `In use by another program: ${list}.` });
    }
    await after(100);
  }
}

/** Ports on loopback that nobody uses now, all different: each is held until the last is found. */
export async function freePorts(count: number): Promise<number[]> {
  const held = await Promise.all(Array.from({ length: count }, () => listening(0, "127.0.0.1")));
  const ports = held.map(({ server }) => portOf(server));
  await Promise.all(held.map(({ server }) => close(server)));
  return ports;
}

export async function freePort(): Promise<number> {
  const [port] = await freePorts(1);
  return port ?? 0;
}

function portOf(server: Server | undefined): number {
  const address = server?.address();
  if (typeof address === "object" && address !== null) return address.port;
  throw new FaultError({ code: "internal", message: "The system gave no free port." });
}

/** Whether something listens at `host:port`. */
export async function portAnswers(address: string): Promise<boolean> {
  const { hostname, port } = new URL(`tcp://${address}`);
  const socket = connect({ host: hostname, port: Number(port) });
  const { promise, resolve } = Promise.withResolvers<boolean>();
  socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
  return promise.finally(() => socket.destroy());
}

async function isTaken({ port, host }: Pick<WantedPort, "port" | "host">): Promise<boolean> {
  const { server, error } = await listening(port, host);
  await close(server);
  if (error?.code === "EACCES")
    throw new FaultError({ code: "port_in_use", message: `Port ${port} may not be opened by this user.` }, { cause: error });
  return error?.code === "EADDRINUSE";
}

async function listening(port: number, host: string): Promise<{ server?: Server; error?: NodeJS.ErrnoException }> {
  const server = createServer();
  const { promise, resolve } = Promise.withResolvers<NodeJS.ErrnoException | undefined>();
  server.once("error", resolve).listen({ port, host, exclusive: true }, () => resolve(undefined));
  const error = await promise;
  return error ? { error } : { server };
}

async function close(server: Server | undefined): Promise<void> {
  if (!server) return;
  await new Promise((resolve) => server.close(resolve));
}
