/**
 * Connections to PostgreSQL that notice a line which is dead and does not say so.
 *
 * The one idea: a connection that waits for an answer and hears and says nothing for a while is broken off, so whoever waits learns it and tries anew on
 * another. One that has nothing to do was closed before by its pool.
 */
import { Socket } from "node:net";

interface Target {
  readonly host: string | readonly string[];
  readonly port: number | readonly number[];
  readonly path?: string | false | undefined;
}

/** How often silence is measured: a tenth of the shortest that counts would be enough. */
const lookEveryMs = 1_000;

/** An option of `postgres()` that its types leave out: connects to the hosts of the address in turn, as the client itself does. */
export function breaksAfter(silentMs: number): { socket: (target: Target) => Socket } {
  let next = 0;
  const socketTo = ({ host, port, path }: Target) => {
    const [hosts, ports] = [[host].flat(), [port].flat()];
    const index = next++ % hosts.length;
    const socket = new Socket();
    breakWhenSilent(socket, silentMs);
    const name = hosts[index] ?? "";
    // What the client writes meanwhile is sent once there is a connection.
    if (path) socket.connect(path);
    else socket.connect(ports[index] ?? 5432, name);
    // By this name the client judges the server's certificate.
    return Object.assign(socket, { host: name });
  };
  return { socket: socketTo };
}

/** Counts bytes rather than events, since a TLS connection takes the events of the socket below it for itself. */
function breakWhenSilent(socket: Socket, silentMs: number): void {
  let [moved, sinceMs] = [-1, performance.now()];
  const timer = setInterval(() => {
    if (socket.destroyed) return clearInterval(timer);
    const now = socket.bytesRead + socket.bytesWritten;
    if (now !== moved) [moved, sinceMs] = [now, performance.now()];
    else if (performance.now() - sinceMs > silentMs) socket.destroy(new Error(`The database has been silent for ${silentMs / 1000} s.`));
  }, lookEveryMs);
  timer.unref();
}
