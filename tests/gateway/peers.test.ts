/** Hosts that take chunks from one another: by the hub's certificates alone, only what each was granted, and the store whenever that fails. */
import { createPrivateKey } from "node:crypto";
import { open } from "node:fs/promises";
import { request, type RequestOptions } from "node:https";
import { join } from "node:path";
import { eq } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { jsonOf } from "../../activities/host/hub-link-http.ts";
import { operations } from "../../db/schema.ts";
import { PeerAnswer } from "../../domain/hosts/peers.ts";
import { newHostKey } from "../../security/host-tokens.ts";
import { listTree } from "../images/samples.ts";
import { openFleet, pem, type Fleet, type Mac } from "./macs.ts";

const bytes = 12_000_000;
let fleet: Fleet;

beforeAll(async () => {
  fleet = await openFleet(["mac-a", "mac-b", "mac-c"], bytes);
}, 180_000);
afterAll(() => fleet?.close());

describe("peers", () => {
  it("gives a host what another has cached, and the store sends none of it", async () => {
    const [first, second] = three();
    await fleet.pull(first);
    const pulled = await fleet.pull(second);
    expect(listTree(second.cache.paths(fleet.digest).bundle)).toEqual(listTree(fleet.bundlePath));
    expect(pulled.fetchedBytes).toBe(0);
  });

  it("hands out nothing without a certificate of the hub, under one for another image, or under one for serving", async () => {
    const [first, second] = three();
    await caching(first);
    const right = await certificate(second, await fleet.operation(second, fleet.digest));
    const wrong = await certificate(second, await fleet.operation(second, "b".repeat(64)));
    const serving = await certificate(second, undefined);
    expect(await rowsFrom(first, { key: pem(second), cert: right })).toBe(200);
    expect(await rowsFrom(first, { key: pem(second), cert: wrong })).toBe(403);
    expect(await rowsFrom(first, { key: pem(second), cert: serving })).toMatch(/ECONNRESET|alert|EPIPE/i);
    expect(await rowsFrom(first, {})).toMatch(/ECONNRESET|alert|EPIPE/i);
    const thief = createPrivateKey({ key: { ...newHostKey() }, format: "jwk" })
      .export({ type: "pkcs8", format: "pem" })
      .toString();
    expect(await rowsFrom(first, { key: thief, cert: right })).toMatch(/mismatch/i);
  });

  it("takes nothing from whoever listens at a peer's address and is another host, and has it all from the store", async () => {
    const [first, second, third] = three();
    await caching(first);
    await second.cache.remove(fleet.digest);
    // The hub believes that the third host serves where the first one does.
    await fleet.tell(third, first.port, [fleet.digest]);
    await fleet.tell(first, first.port, []);
    const pulled = await fleet.pull(second);
    expect(pulled.fetchedBytes).toBeGreaterThan(bytes);
    await fleet.tell(third, third.port, []);
  });

  it("hands out no chunk that rotted on the disk of the one who has it: the store sends that one", async () => {
    const [first, second] = three();
    await caching(first);
    await second.cache.remove(fleet.digest);
    await flip(join(first.cache.paths(fleet.digest).bundle, "disk.hdd", "disk.hds"), bytes / 2);
    const pulled = await fleet.pull(second);
    expect(listTree(second.cache.paths(fleet.digest).bundle)).toEqual(listTree(fleet.bundlePath));
    expect(pulled.fetchedBytes).toBeGreaterThan(0);
    await first.cache.remove(fleet.digest);
    await fleet.tell(first, first.port, []);
  });

  it("refuses a certificate for an operation that runs on another host, or that has ended", async () => {
    const [first, second] = three();
    const theirs = await fleet.operation(first, fleet.digest);
    await expect(certificate(second, theirs)).rejects.toMatchObject({ fault: { code: "grant_refused" } });
    await fleet.hub.db.update(operations).set({ state: "done" }).where(eq(operations.id, theirs));
    await expect(certificate(first, theirs)).rejects.toMatchObject({ fault: { code: "grant_refused" } });
  });
});

function three(): [Mac, Mac, Mac] {
  const [first, second, third] = fleet.macs;
  if (!first || !second || !third) throw new Error("There are three hosts.");
  return [first, second, third];
}

/** One byte, other than it was. */
async function flip(path: string, position: number): Promise<void> {
  const file = await open(path, "r+");
  try {
    const { buffer } = await file.read(Buffer.alloc(1), 0, 1, position);
    await file.write(Buffer.from([255 - (buffer[0] ?? 0)]), 0, 1, position);
  } finally {
    await file.close();
  }
}

async function caching(mac: Mac): Promise<void> {
  if (!(await mac.cache.has(fleet.digest))) await fleet.pull(mac);
  await fleet.tell(mac, mac.port, [fleet.digest]);
}

async function certificate({ identity }: Mac, operationId: string | undefined): Promise<string> {
  const link = await fleet.hub.link(identity);
  const body = Buffer.from(JSON.stringify({ operationId }));
  const headers = { "content-type": "application/json" };
  const answer = await link.send({ method: "POST", path: "/host/v1/peers", body, headers, authorised: true });
  return PeerAnswer.parse(await jsonOf(answer)).certificate ?? "";
}

/** The status that the peer port answers, or what becomes of the connection. */
function rowsFrom({ port, identity }: Mac, tls: Pick<RequestOptions, "key" | "cert">): Promise<number | string> {
  return new Promise((resolve) => {
    const path = `/peer/v1/images/${fleet.digest}`;
    const options = { host: "127.0.0.1", port, path, ca: identity.authority, checkServerIdentity: () => undefined, agent: false, ...tls };
    try {
      const sent = request(options as RequestOptions, (answer) => {
        answer.resume();
        resolve(answer.statusCode ?? 0);
      });
      sent.on("error", (error) => resolve(`${(error as NodeJS.ErrnoException).code} ${error.message}`));
      sent.end();
    } catch (error) {
      resolve(String(error));
    }
  });
}
