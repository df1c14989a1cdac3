/**
 * `POST /host/v1/grants`: what one transfer may read and write, for fifteen minutes.
 *
 * The one idea: each key is judged against what the operation is about (its trees, the packs that their locations name); where the store can
 * sign requests itself the bytes never pass through the hub.
 */
import type { z } from "zod";
import type { Database } from "../../db/connect.ts";
import { grantScope, grantSubject, type GrantScope, sealedInput } from "../../db/grants.ts";
import { shareOf } from "../../db/store-shares.ts";
import { FaultError } from "../../domain/errors.ts";
import type { GrantAnswer, GrantedObject, GrantRequest } from "../../domain/hosts/schema.ts";
import type { GrantSignatures } from "../../security/grant-signatures.ts";
import type { Sealer } from "../../security/sealing.ts";
import type { Caller } from "../callers.ts";
import { limitOf, readKey, storedKey } from "../keys.ts";
import type { GatewayMetrics } from "../metrics.ts";
import { mayCountOn } from "../reliance.ts";
import type { GatewayStore, OpenStores } from "../stores.ts";
import { holderOf } from "./reports.ts";

export interface GrantOptions {
  readonly db: Database;
  readonly stores: OpenStores;
  readonly signatures: GrantSignatures;
  readonly sealer: Sealer;
  readonly metrics: GatewayMetrics;
}

/** Long enough for a slow line to send 64 MiB, short enough that what leaks is soon worthless. */
const ttlSeconds = 15 * 60;

type Asked = z.output<typeof GrantRequest>;

export function grantHandler(options: GrantOptions) {
  const { db, sealer } = options;
  return async (caller: Caller, asked: Asked, signal: AbortSignal): Promise<GrantAnswer> => {
    const { operationId, begin, fence } = asked;
    if (asked.write.length > 0 && !begin && fence === undefined) {
      throw new FaultError({ code: "invalid_request", message: "Whoever writes tells the fence of the attempt." });
    }
    const subject = await grantSubject(db, { operationId, holder: holderOf(caller), begin, fence });
    const { objects, ca, share } =
      asked.read.length + asked.write.length === 0
        ? { objects: [], ca: null, share: null }
        : await grantObjects(options, await scopeOf(db, subject), asked, signal);
    const sealed = asked.sealed ? await sealedInput(db, operationId) : null;
    return {
      fence: subject.fence,
      objects,
      ca,
      share,
      sealed: sealed && (await sealer.open<Record<string, unknown>>(sealed, `operation:${operationId}`)),
    };
  };
}

async function scopeOf(db: Database, subject: Parameters<typeof grantScope>[1]): Promise<GrantScope> {
  const scope = await grantScope(db, subject);
  if (scope) return scope;
  throw new FaultError({
    code: "grant_refused",
    message: `The operation ${subject.operation.id} moves no image.`,
    subject: subject.operation.id,
  });
}

async function grantObjects(
  { db, stores, signatures }: GrantOptions,
  scope: GrantScope,
  { read, write }: Asked,
  signal: AbortSignal,
): Promise<Pick<GrantAnswer, "objects" | "ca" | "share">> {
  const store = await stores.open(scope.storeId);
  const expiresAt = new Date(Date.now() + ttlSeconds * 1000);
  for (const { key, sha256, bytes } of write) if (!mayWrite(scope, key, sha256, bytes)) throw refused(key, "write");
  await mayCountOn(
    db,
    { storeId: scope.storeId, store },
    write.map(({ key }) => key),
  );
  const share = await shareOf(db, scope.storeId);
  const packs = await packsIn(stores, scope, read, signal);
  const reads = read.map(async (key) => {
    if (!mayRead(scope, packs, key)) throw refused(key, "read");
    const direct = await presigned(store, { method: "GET", key: storedKey(key), ttlSeconds });
    if (direct) return { ...direct, key };
    return ours(key, "GET", expiresAt, await signatures.sign({ method: "GET", storeId: scope.storeId, key, expiresAt }));
  });
  const writes = write.map(async ({ key, sha256, bytes }) => {
    if (!mayWrite(scope, key, sha256, bytes)) throw refused(key, "write");
    const direct = await presigned(store, { method: "PUT", key, sha256, ttlSeconds });
    if (direct) return direct;
    return ours(key, "PUT", expiresAt, await signatures.sign({ method: "PUT", storeId: scope.storeId, key, sha256, bytes, expiresAt }));
  });
  return { objects: await Promise.all([...reads, ...writes]), ca: store.authority ?? null, share };
}

type PresignAsk = Parameters<NonNullable<GatewayStore["presign"]>>[0];

/** Null where the store cannot bind a request to these very bytes: then the gateway carries them. */
async function presigned(store: GatewayStore, ask: PresignAsk): Promise<GrantedObject | null> {
  const signed = await store.presign?.(ask);
  if (!signed) return null;
  const { method, url, headers, expiresAt } = signed;
  return { key: ask.key, method, url, headers: { ...headers }, expiresAt: expiresAt.toISOString() };
}

/** Relative: the host knows best by which name it reaches the gateway. */
const ours = (key: string, method: "GET" | "PUT", expiresAt: Date, query: string): GrantedObject => ({
  key,
  method,
  headers: {},
  url: `/host/v1/objects/${key}?${query}`,
  expiresAt: expiresAt.toISOString(),
});

/** Which packs may be read; looked up only when one was asked for. */
async function packsIn(stores: OpenStores, scope: GrantScope, read: readonly string[], signal: AbortSignal): Promise<ReadonlySet<string>> {
  if (scope.packs !== "read" || !read.some((key) => readKey(key)?.kind === "pack")) return new Set();
  const ask = async (again: boolean) => {
    const found = await Promise.all(scope.trees.map((tree) => stores.packsOf(scope.storeId, tree, signal, again)));
    return new Set(found.flatMap((packs) => [...packs]));
  };
  const packs = await ask(false);
  // Locations that were lost are written anew under their old name, with other packs.
  return read.every((key) => mayRead(scope, packs, key)) ? packs : ask(true);
}

function mayRead(scope: GrantScope, packs: ReadonlySet<string>, key: string): boolean {
  const name = readKey(key);
  if (!name) return false;
  if (name.kind === "archive") return name.key === scope.archive;
  if (name.kind === "pack") return packs.has(name.sha256);
  return scope.trees.some(({ digest }) => digest === name.digest);
}

/** A pack and a tree are named by their own hash. Locations are not: only those of a first push are written here, later generations by the hub alone. */
function mayWrite(scope: GrantScope, key: string, sha256: string, bytes: number): boolean {
  const name = readKey(key);
  if (scope.packs !== "write" || !name || name.kind === "archive" || bytes > limitOf(name)) return false;
  if (name.kind === "pack") return name.sha256 === sha256;
  if (name.kind === "tree") return name.digest === sha256;
  return name.generation === 1 || scope.trees.some(({ digest, generation }) => digest === name.digest && generation === name.generation);
}

const refused = (key: string, verb: string) =>
  new FaultError({
    code: "grant_refused",
    message: `This operation has no right to ${verb} ${key.slice(0, 200)}.`,
    subject: key.slice(0, 200),
  });
