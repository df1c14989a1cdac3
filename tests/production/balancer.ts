/**
 * What stands before two of each in production: takes connections at one address and hands them to whoever of the others answers, in turn.
 *
 * It knows nothing of what flows through it, as a balancer for TLS that is not its own cannot.
 */
import { connect, createServer, type Socket } from "node:net";

export interface Balancer {
  /** Connections that each target took so far. */
  readonly taken: ReadonlyMap<string, number>;
  close(): Promise<void>;
}

export interface Balancing {
  readonly address: string;
  readonly port: number;
  /** Addresses that have the same port. */
  readonly targets: readonly string[];
}

export async function balance({ address, port, targets }: Balancing): Promise<Balancer> {
  const taken = new Map(targets.map((target) => [target, 0]));
  const open = new Set<Socket>();
  let next = 0;

  const handOn = (client: Socket, tries: number): void => {
    const target = targets[next++ % targets.length] ?? "";
    const server = connect({ host: target, port });
    const refused = () => (tries > 1 ? handOn(client, tries - 1) : client.destroy());
    server.once("error", refused);
    server.once("connect", () => {
      taken.set(target, (taken.get(target) ?? 0) + 1);
      server.off("error", refused).on("error", () => client.destroy());
      client.once("close", () => server.destroy());
      server.once("close", () => client.destroy());
      client.pipe(server).pipe(client);
    });
  };
  const listener = createServer((client) => {
    open.add(client);
    client.on("error", () => client.destroy()).once("close", () => open.delete(client));
    handOn(client, targets.length);
  });
  await new Promise<void>((resolve, reject) => {
    listener.once("error", reject).listen(port, address, resolve);
  });
  return {
    taken,
    close: async () => {
      for (const client of open) client.destroy();
      await new Promise((resolve) => listener.close(resolve));
    },
  };
}
