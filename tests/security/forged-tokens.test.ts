/**
 * Sixty forged tokens, none of which is believed: wrong algorithms, keys, headers, audiences, issuers, times and payloads, and true tokens that were touched.
 *
 * The one idea: each forgery differs from a good token in one thing only, and the good one is believed in the same breath.
 */
import { createPrivateKey, generateKeyPairSync, randomBytes, randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { exportJWK, SignJWT, type JWTHeaderParameters } from "jose";
import { afterAll, beforeAll, expect, inject, it } from "vitest";
import { openDatabase, type OpenDatabase } from "../../db/connect.ts";
import { keyRows } from "../../db/keys.ts";
import { migrate } from "../../db/migrate.ts";
import { createDatabase } from "../../deploy/embedded/postgres.ts";
import { masterKeySource } from "../../security/master-key.ts";
import { openSecurity, type Security } from "../../security/open.ts";

let open: OpenDatabase;
let home: string;
let security: Security;
let kid: string;
let shown: Readonly<Record<string, unknown>>;
let privateKey: ReturnType<typeof createPrivateKey>;

const claims = { email: "root@localhost", username: "Root", uid: randomUUID(), roles: ["SUPER_USER"], claims: [] };
const now = () => Math.floor(Date.now() / 1000);
const other = generateKeyPairSync("ec", { namedCurve: "P-256" });
const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const ed = generateKeyPairSync("ed25519");
const p384 = generateKeyPairSync("ec", { namedCurve: "P-384" });

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "drover-forged-"));
  const url = await createDatabase(inject("databaseUrl"));
  await migrate(url);
  open = openDatabase(url);
  security = await openSecurity({ masterKey: masterKeySource({ given: undefined, home }), keys: keyRows(open.db) });
  const key = await security.ring.current("signing");
  kid = key.id;
  shown = key.public ?? {};
  privateKey = createPrivateKey({ key: Buffer.from(key.secret), format: "der", type: "pkcs8" });
}, 180_000);
afterAll(async () => {
  await open.close();
  await rm(home, { recursive: true, force: true });
});

const good = () => ({
  ...claims,
  iss: `urn:uuid:${security.hubId}`,
  aud: "drover-api",
  jti: randomUUID(),
  iat: now(),
  exp: now() + 600,
});
const header = (): JWTHeaderParameters => ({ alg: "ES256", typ: "JWT", kid });
const encode = (part: unknown) => Buffer.from(typeof part === "string" ? part : JSON.stringify(part)).toString("base64url");
type Key = Parameters<SignJWT["sign"]>[0];
const signed = (payload: object, { head = header(), key = privateKey as Key }: { head?: JWTHeaderParameters; key?: Key } = {}) =>
  new SignJWT({ ...payload }).setProtectedHeader(head).sign(key);
/** With our own key, which nobody has: only what is said is wrong. */
const saying = (changed: object) => () => signed({ ...good(), ...changed });
const without = (name: string) => () => signed(Object.fromEntries(Object.entries(good()).filter(([key]) => key !== name)));
const headed = (changed: object) => () => signed(good(), { head: { ...header(), ...changed } });
const unsigned =
  (head: object, signature = "") =>
  () =>
    `${encode(head)}.${encode(good())}.${signature}`;
const parts = async () => (await signed(good())).split(".") as [string, string, string];
const touched = (touch: (of: [string, string, string]) => string) => async () => touch(await parts());
const flipped = (part: string, at: number) => part.slice(0, at) + (part[at] === "A" ? "B" : "A") + part.slice(at + 1);

const forgeries: ReadonlyArray<readonly [what: string, forge: () => Promise<string> | string]> = [
  ...["none", "None", "NONE", "nOnE", ""].map((alg) => [`algorithm "${alg}"`, unsigned({ ...header(), alg })] as const),
  ["no algorithm", unsigned({ typ: "JWT" })],
  ["no header", touched(([, payload, signature]) => `.${payload}.${signature}`)],
  ["a header that is no JSON", touched(([, payload, signature]) => `${encode("{")}.${payload}.${signature}`)],
  ["a header that is a list", touched(([, payload, signature]) => `${encode([])}.${payload}.${signature}`)],
  ...(["HS256", "HS384", "HS512"] as const).flatMap((alg) => [
    [`${alg} by our public key as JSON`, () => signed(good(), { head: { ...header(), alg }, key: padded(JSON.stringify(shown)) })] as const,
    [`${alg} by our key's id`, () => signed(good(), { head: { ...header(), alg }, key: padded(kid) })] as const,
  ]),
  ["HS256 by nothing but zeros", () => signed(good(), { head: { ...header(), alg: "HS256" }, key: new Uint8Array(32) })],
  ["another key of our kind", () => signed(good(), { key: other.privateKey })],
  [
    "another key, shown in the header",
    async () => signed(good(), { head: { ...header(), jwk: await exportJWK(other.publicKey) }, key: other.privateKey }),
  ],
  [
    "another key, without our key's id",
    async () => signed(good(), { head: { alg: "ES256", jwk: await exportJWK(other.publicKey) }, key: other.privateKey }),
  ],
  ["a key at an address", () => signed(good(), { head: { ...header(), jku: "http://127.0.0.1:1/keys" }, key: other.privateKey })],
  ["a certificate at an address", () => signed(good(), { head: { ...header(), x5u: "http://127.0.0.1:1/key" }, key: other.privateKey })],
  ["RS256", () => signed(good(), { head: { ...header(), alg: "RS256" }, key: rsa.privateKey })],
  ["PS256", () => signed(good(), { head: { ...header(), alg: "PS256" }, key: rsa.privateKey })],
  ["EdDSA", () => signed(good(), { head: { ...header(), alg: "EdDSA" }, key: ed.privateKey })],
  ["ES384", () => signed(good(), { head: { ...header(), alg: "ES384" }, key: p384.privateKey })],
  [
    "the authority's key",
    async () =>
      signed(good(), {
        key: createPrivateKey({ key: Buffer.from((await security.ring.current("authority")).secret), format: "der", type: "pkcs8" }),
      }),
  ],
  ["no key's id", () => signed(good(), { head: { alg: "ES256", typ: "JWT" } })],
  ["an id of no key", headed({ kid: randomUUID() })],
  ["a path for an id", headed({ kid: "../../../dev/null" })],
  ["SQL for an id", headed({ kid: "' or 1=1 --" })],
  ["the payload key's id", async () => signed(good(), { head: { ...header(), kid: (await security.ring.current("payload")).id } })],
  ["another type", headed({ typ: "at+jwt" })],
  [
    "a critical extension",
    touched(([, payload, signature]) => `${encode({ ...header(), crit: ["exp"], exp: 1 })}.${payload}.${signature}`),
  ],
  ["an end in the past", saying({ exp: now() - 1 })],
  ["an end long ago", saying({ exp: 0 })],
  ["an end that is text", saying({ exp: "tomorrow" })],
  ["no end", without("exp")],
  ["a beginning in the future", saying({ nbf: now() + 600 })],
  ["another issuer", saying({ iss: `urn:uuid:${randomUUID()}` })],
  ["no issuer", without("iss")],
  ["the audience of transfers", saying({ aud: "drover-gateway" })],
  ["no audience", without("aud")],
  ["no id of its own", without("jti")],
  ["nobody", without("uid")],
  ["a number for a user", saying({ uid: 1 })],
  ["text for roles", saying({ roles: "SUPER_USER" })],
  ["no roles", without("roles")],
  ["no claims", without("claims")],
  ["another payload", touched(([head, , signature]) => `${head}.${encode({ ...good(), uid: "root" })}.${signature}`)],
  ["another header", touched(([, payload, signature]) => `${encode({ ...header(), x: 1 })}.${payload}.${signature}`)],
  ["no signature", touched(([head, payload]) => `${head}.${payload}.`)],
  ["a signature of zeros", touched(([head, payload]) => `${head}.${payload}.${Buffer.alloc(64).toString("base64url")}`)],
  ["a signature that is too short", touched(([head, payload, signature]) => `${head}.${payload}.${signature.slice(0, -8)}`)],
  ["a signature that is too long", touched(([head, payload, signature]) => `${head}.${payload}.${signature}AAAA`)],
  ["one letter of the signature changed", touched(([head, payload, signature]) => `${head}.${payload}.${flipped(signature, 10)}`)],
  ["one letter of the payload changed", touched(([head, payload, signature]) => `${head}.${flipped(payload, 20)}.${signature}`)],
  ["four parts", touched((all) => `${all.join(".")}.${all[2]}`)],
  ["two parts", touched(([head, payload]) => `${head}.${payload}`)],
  ["five parts", touched((all) => `${all.join(".")}.a.b`)],
  ["a transfer's token", async () => (await security.transfers.issue(randomUUID())).token],
];
const padded = (text: string): Uint8Array => Buffer.concat([Buffer.from(text), Buffer.alloc(64)]).subarray(0, 64);

it("are sixty", () => expect(forgeries.length).toBeGreaterThanOrEqual(60));

it.each(forgeries)("is not believed with %s", async (_what, forge) => {
  const forged = await forge();
  await expect(security.signer.verify(forged)).rejects.toMatchObject({ fault: { code: "unauthenticated" } });
  await expect(security.signer.verify(await signed(good()))).resolves.toMatchObject({ uid: claims.uid });
});

it("does not believe any text of chance", async () => {
  for (let n = 0; n < 200; n += 1)
    await expect(security.signer.verify(randomBytes(n).toString("latin1"))).rejects.toMatchObject({ fault: { code: "unauthenticated" } });
});
