/**
 * A line between a client and a server that goes bad: bytes are cut, delayed, lost in one direction, or stop in their middle.
 *
 * The one idea: it knows nothing of what it carries. A fault hits the connections that are open and lasts as long as they do; new ones are sound again.
 */
import { connect, createServer, type Socket } from "node:net";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import type { Random } from "../crash/random.ts";

export const lineFaults = ["reset", "cut short", "stall", "delay", "half", "deaf server", "deaf client"] as const;
export type LineFault = (typeof lineFaults)[number];

export interface Line {
  /** Where clients connect to. */
  readonly port: number;
  /** Hits every open connection; answers how many. */
  strike(fault: LineFault, random: Random): number;
  /** Refuses everybody until it is mended. */
  cut(): void;
  mend(): void;
  close(): Promise<void>;
}

interface Way {
  readonly to: Socket;
  /** Bytes that still pass before the connection breaks; null for all. */
  breaksAfter: number | null;
  /** What comes is lost from now on. */
  deaf: boolean;
  /** Half of the next piece still passes, then nothing. */
  halved: boolean;
  delayMs: number;
  /** Until when pieces are late; the latest of them holds up what comes after it, since bytes keep their order. */
  slowUntil: number;
}

export async function openLine(target: { host: string; port: number }): Promise<Line> {
  const open = new Set<readonly [Way, Way]>();
  let whole = true;
  const server = createServer((client) => {
    if (!whole) return void client.destroy();
    const onward = connect(target);
    const ways = [wayTo(onward), wayTo(client)] as const;
    open.add(ways);
    for (const [from, way] of [[client, ways[0]] as const, [onward, ways[1]] as const]) {
      carry(from, way).catch(() => from.destroy());
      from.on("error", () => {});
      from.on("close", () => {
        open.delete(ways);
        way.to.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const breakAll = () => {
    for (const [up, down] of open) for (const { to } of [up, down]) to.resetAndDestroy();
  };
  return {
    port: (server.address() as AddressInfo).port,
    strike: (fault, random) => {
      const hit = [...open];
      for (const ways of hit) strike(ways, fault, random);
      return hit.length;
    },
    cut: () => {
      whole = false;
      breakAll();
    },
    mend: () => void (whole = true),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        breakAll();
      }),
  };
}

const wayTo = (to: Socket): Way => ({ to, breaksAfter: null, deaf: false, halved: false, delayMs: 0, slowUntil: 0 });

async function carry(from: Socket, way: Way): Promise<void> {
  let last: Promise<unknown> = Promise.resolve();
  for await (const piece of from as AsyncIterable<Buffer>) {
    const late = performance.now() < way.slowUntil ? delay(way.delayMs) : null;
    last = Promise.all([last, late]).then(() => hand(piece, from, way));
    // Several pieces may be on their way at once where they are late; else each is taken before the next.
    if (late === null) await last;
  }
  await last;
  way.to.end();
}

async function hand(piece: Buffer, from: Socket, way: Way): Promise<void> {
  if (way.deaf || way.to.destroyed) return;
  const most = way.halved ? Math.floor(piece.byteLength / 2) : (way.breaksAfter ?? piece.byteLength);
  const bytes = piece.subarray(0, most);
  if (way.halved) way.deaf = true;
  if (!way.to.write(bytes)) await new Promise<void>((resolve) => void way.to.once("drain", resolve).once("close", resolve));
  if (way.breaksAfter === null) return;
  way.breaksAfter -= bytes.byteLength;
  if (way.breaksAfter <= 0) from.resetAndDestroy();
}

/** A line that is slow for longer is a slow line, on which everything takes its time. */
const slowForMs = 5_000;

function strike([up, down]: readonly [Way, Way], fault: LineFault, random: Random): void {
  const either = random.next() < 0.5 ? up : down;
  if (fault === "reset") up.to.resetAndDestroy();
  if (fault === "cut short") either.breaksAfter = Math.round(random.between(1, 200_000));
  if (fault === "stall") up.deaf = down.deaf = true;
  if (fault === "delay")
    for (const way of [up, down]) Object.assign(way, { delayMs: random.between(200, 2_000), slowUntil: performance.now() + slowForMs });
  if (fault === "half") either.halved = true;
  if (fault === "deaf server") up.deaf = true;
  if (fault === "deaf client") down.deaf = true;
}
