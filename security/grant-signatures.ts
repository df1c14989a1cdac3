/**
 * Signs what one request may read or write at the gateway itself, for stores without presigned requests.
 *
 * The one idea: everything that the grant says stands in the signature, so a URL is good for one object, one direction, fifteen minutes, and nothing else.
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { FaultError } from "../domain/errors.ts";
import type { KeyRing } from "./key-ring.ts";

export interface SignedGrant {
  readonly method: "GET" | "PUT";
  readonly storeId: string;
  readonly key: string;
  /** Of a PUT: what its body must be. */
  readonly sha256?: string;
  readonly bytes?: number;
  readonly expiresAt: Date;
}

export interface GrantSignatures {
  /** The query of the URL. */
  sign(grant: SignedGrant): Promise<string>;
  /** What the query grants for this key and method; fails with `grant_refused`. */
  verify(asked: { method: string; key: string; query: URLSearchParams }): Promise<SignedGrant>;
}

export function grantSignatures(ring: KeyRing): GrantSignatures {
  return {
    sign: async (grant) => {
      const { id, secret } = await ring.current("grant");
      const { sha256, bytes } = grant;
      const query = new URLSearchParams({
        store: grant.storeId,
        expires: String(grant.expiresAt.getTime()),
        ...(sha256 === undefined ? {} : { sha256 }),
        ...(bytes === undefined ? {} : { bytes: String(bytes) }),
        kid: id,
        signature: macOf(secret, grant),
      });
      return query.toString();
    },
    verify: async ({ method, key, query }) => {
      const grant = readGrant(method, key, query);
      const known = grant && (await ring.find("grant", query.get("kid") ?? ""));
      if (!grant || !known || !same(macOf(known.secret, grant), query.get("signature") ?? "")) throw refused(key, "is not one of this hub");
      if (grant.expiresAt.getTime() < Date.now()) throw refused(key, "has expired");
      return grant;
    },
  };
}

function readGrant(method: string, key: string, query: URLSearchParams): SignedGrant | null {
  const [sha256, bytes] = [query.get("sha256"), query.get("bytes")];
  if (method !== "GET" && method !== "PUT") return null;
  return {
    method,
    key,
    storeId: query.get("store") ?? "",
    expiresAt: new Date(Number(query.get("expires"))),
    ...(sha256 === null ? {} : { sha256 }),
    ...(bytes === null ? {} : { bytes: Number(bytes) }),
  };
}

/** JSON of a list: no value can pretend to be two. */
function macOf(secret: Uint8Array, { method, storeId, key, sha256, bytes, expiresAt }: SignedGrant): string {
  const text = JSON.stringify(["object-grant", method, storeId, key, sha256 ?? null, bytes ?? null, expiresAt.getTime()]);
  return createHmac("sha256", secret).update(text).digest("base64url");
}

function same(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.byteLength === right.byteLength && timingSafeEqual(left, right);
}

const refused = (key: string, why: string) =>
  new FaultError({ code: "grant_refused", message: `The grant for ${key} ${why}.`, subject: key });
