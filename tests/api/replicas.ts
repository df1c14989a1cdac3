/**
 * A second API process beside the first one of a stack, and one address for both.
 *
 * The one idea: the front hands each connection to the next process, so whatever one of them keeps to itself is missed by the very next request.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { setTimeout as after } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { freePorts } from "../../deploy/ports.ts";
import type { TestStack } from "../e2e/stack.ts";

export interface Replicas {
  /** Of both together. */
  readonly port: number;
  /** Of each. */
  readonly ports: readonly number[];
  /** How many connections each was handed. */
  readonly handed: () => readonly number[];
  /** Ends the second process at once, as a crash does. */
  killSecond(): Promise<void>;
  close(): Promise<void>;
}

const program = fileURLToPath(new URL("../../api/main.ts", import.meta.url));

export async function openReplicas({ env }: Pick<TestStack, "env">): Promise<Replicas> {
  const [second = 0] = await freePorts(1);
  const ports = [Number(env["API_PORT"]), second];
  const child = spawn(process.execPath, [program], { env: { ...env, API_PORT: String(second) }, stdio: "ignore" });
  const ended = once(child, "exit");
  while (!(await fetch(`http://127.0.0.1:${second}/readyz`).catch(() => null))?.ok) {
    if (child.exitCode !== null) throw new Error(`The second API process ended with ${child.exitCode}.`);
    await after(100);
  }
  const front = await openFront(ports);
  const close = async () => {
    front.close();
    child.kill("SIGKILL");
    await ended;
  };
  const killSecond = async () => {
    child.kill("SIGKILL");
    await ended;
  };
  return { ...front, ports, killSecond, close };
}

/** Hands each connection to the next process that answers. */
async function openFront(ports: readonly number[]) {
  const handed = ports.map(() => 0);
  const open = new Set<Socket>();
  let next = 0;
  const hand = (client: Socket, left: number): void => {
    const at = next++ % ports.length;
    const server = connect({ host: "127.0.0.1", port: ports[at] ?? 0 });
    // A process that is not there has heard nothing, so the next one may.
    const absent = () => (left > 1 ? hand(client, left - 1) : client.destroy());
    server.once("error", absent).once("connect", () => {
      server.off("error", absent);
      handed[at] = (handed[at] ?? 0) + 1;
      open.add(server);
      client.pipe(server).pipe(client);
      const end = () => {
        client.destroy();
        server.destroy();
        open.delete(server);
      };
      for (const one of [client, server]) one.on("error", end).on("close", end);
    });
  };
  const listener = createServer({ pauseOnConnect: true }, (client) => {
    open.add(client);
    client.on("error", () => {}).on("close", () => open.delete(client));
    hand(client, ports.length);
  });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  const close = () => {
    listener.close();
    for (const socket of open) socket.destroy();
  };
  return { port: (listener.address() as AddressInfo).port, handed: () => handed, close };
}
