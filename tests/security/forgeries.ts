/**
 * Tokens that nobody issued: wrong algorithms, keys, headers, audiences, issuers, times and payloads, and true tokens that were touched.
 *
 * The one idea: each differs from a good token in one thing only.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, randomUUID, sign } from "node:crypto";
import { exportJWK, SignJWT, type JWTHeaderParameters } from "jose";
import { newHostKey, signHostToken } from "../../security/host-tokens.ts";
import type { Security } from "../../security/open.ts";

type Key = Parameters<SignJWT["sign"]>[0];
type Parts = [head: string, payload: string, signature: string];
export type Forgery = readonly [what: string, forge: () => Promise<string> | string];

export interface Holder {
  readonly uid: string;
  readonly email: string;
}
const now = () => Math.floor(Date.now() / 1000);
const encode = (part: unknown) => Buffer.from(typeof part === "string" ? part : JSON.stringify(part)).toString("base64url");
const other = generateKeyPairSync("ec", { namedCurve: "P-256" });
const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const ed = generateKeyPairSync("ed25519");
const p384 = generateKeyPairSync("ec", { namedCurve: "P-384" });

/** Good tokens of a hub for a user, and what is needed to make bad ones. */
export async function forgeFor(security: Security, { uid, email }: Holder) {
  const key = await security.ring.current("signing");
  const privateKey = createPrivateKey({ key: Buffer.from(key.secret), format: "der", type: "pkcs8" });
  const spki = createPublicKey(privateKey);
  const good = () => ({
    email,
    username: "Root",
    uid,
    roles: ["SUPER_USER"],
    claims: [],
    iss: `urn:uuid:${security.hubId}`,
    aud: "drover-api",
    jti: randomUUID(),
    iat: now(),
    exp: now() + 600,
  });
  const header = (): JWTHeaderParameters => ({ alg: "ES256", typ: "JWT", kid: key.id });
  const signed = (payload: object, { head = header(), by = privateKey as Key }: { head?: JWTHeaderParameters; by?: Key } = {}) =>
    new SignJWT({ ...payload }).setProtectedHeader(head).sign(by);
  /** As it stands, JSON or not, with our own key. */
  const signedText = (payload: string, head: object = header()) => {
    const said = `${encode(head)}.${encode(payload)}`;
    return `${said}.${sign("sha256", Buffer.from(said), { key: privateKey, dsaEncoding: "ieee-p1363" }).toString("base64url")}`;
  };
  const parts = async () => (await signed(good())).split(".") as Parts;
  return { kid: key.id, shown: key.public ?? {}, spki, good, header, signed, signedText, parts };
}
export type Forge = Awaited<ReturnType<typeof forgeFor>>;

const padded = (text: string | Uint8Array): Uint8Array => Buffer.concat([Buffer.from(text), Buffer.alloc(64)]).subarray(0, 64);
const flipped = (part: string, at: number) => part.slice(0, at) + (part[at] === "A" ? "B" : "A") + part.slice(at + 1);

/** `elsewhere`: another hub. */
export function forgeriesOf(security: Security, mine: Forge, elsewhere: Forge): readonly Forgery[] {
  return [
    ...ofAlgorithms(mine),
    ...ofKeys(security, mine, elsewhere),
    ...ofHeaders(security, mine),
    ...ofPayloads(mine),
    ...ofTouching(mine),
  ];
}

function ofAlgorithms({ kid, shown, spki, good, header, signed }: Forge): Forgery[] {
  const unsigned = (head: object) => () => `${encode(head)}.${encode(good())}.`;
  const secrets: ReadonlyArray<readonly [string, string | Uint8Array]> = [
    ["our public key as JSON", JSON.stringify(shown)],
    ["our public key as PEM", String(spki.export({ format: "pem", type: "spki" }))],
    ["our public key as DER", spki.export({ format: "der", type: "spki" })],
    ["our key's id", kid],
    ["nothing but zeros", ""],
  ];
  return [
    ...["none", "None", "NONE", "nOnE", "", "es256", "ES256K"].map((alg): Forgery => [
      `algorithm "${alg}"`,
      unsigned({ ...header(), alg }),
    ]),
    ["no algorithm", unsigned({ typ: "JWT" })],
    ["an algorithm that is a list", unsigned({ ...header(), alg: ["ES256"] })],
    ...secrets.flatMap(([what, secret]) =>
      (["HS256", "HS384", "HS512"] as const).map((alg): Forgery => [
        `${alg} by ${what}`,
        () => signed(good(), { head: { ...header(), alg }, by: padded(secret) }),
      ]),
    ),
    ["RS256", () => signed(good(), { head: { ...header(), alg: "RS256" }, by: rsa.privateKey })],
    ["PS256", () => signed(good(), { head: { ...header(), alg: "PS256" }, by: rsa.privateKey })],
    ["EdDSA", () => signed(good(), { head: { ...header(), alg: "EdDSA" }, by: ed.privateKey })],
    ["ES384", () => signed(good(), { head: { ...header(), alg: "ES384" }, by: p384.privateKey })],
  ];
}

function ofKeys(security: Security, { good, header, signed }: Forge, elsewhere: Forge): Forgery[] {
  const by = other.privateKey;
  const authority = async () => {
    const { secret } = await security.ring.current("authority");
    return createPrivateKey({ key: Buffer.from(secret), format: "der", type: "pkcs8" });
  };
  return [
    ["another key of our kind", () => signed(good(), { by })],
    ["another key, shown in the header", async () => signed(good(), { head: { ...header(), jwk: await exportJWK(other.publicKey) }, by })],
    [
      "another key, without our key's id",
      async () => signed(good(), { head: { alg: "ES256", jwk: await exportJWK(other.publicKey) }, by }),
    ],
    ["a key at an address", () => signed(good(), { head: { ...header(), jku: "http://127.0.0.1:1/keys" }, by })],
    ["a certificate at an address", () => signed(good(), { head: { ...header(), x5u: "http://127.0.0.1:1/key" }, by })],
    ["a certificate in the header", () => signed(good(), { head: { ...header(), x5c: ["MIIB"] }, by })],
    ["the authority's key", async () => signed(good(), { by: await authority() })],
    ["a good token of another hub", () => elsewhere.signed(elsewhere.good())],
    ["another hub's key under our words", () => elsewhere.signed(good(), { head: elsewhere.header() })],
    ["another hub's key under our key's id", () => elsewhere.signed(good(), { head: header() })],
    ["our words inside another hub's token", async () => elsewhere.signed({ ...elsewhere.good(), iss: good().iss })],
    ["a transfer's token", async () => (await security.transfers.issue(randomUUID())).token],
    ["an archive's token", async () => (await security.archives.issue({ image: randomUUID(), user: good().uid, key: "" })).token],
    [
      "a token that a host signed for itself",
      () => signHostToken({ hostId: randomUUID(), session: randomUUID(), key: newHostKey(), hubId: security.hubId }),
    ],
  ];
}

function ofHeaders(security: Security, { good, header, signed, signedText, parts }: Forge): Forgery[] {
  const headed = (changed: object) => () => signed(good(), { head: { ...header(), ...changed } });
  const beheaded = (head: string) => async () => {
    const [, payload, signature] = await parts();
    return `${head}.${payload}.${signature}`;
  };
  return [
    ["no header", beheaded("")],
    ["a header that is no JSON", beheaded(encode("{"))],
    ["a header that is a list", beheaded(encode([]))],
    ["a header that is null", beheaded(encode("null"))],
    ["no key's id", () => signed(good(), { head: { alg: "ES256", typ: "JWT" } })],
    ["an id of no key", headed({ kid: randomUUID() })],
    ["a path for an id", headed({ kid: "../../../dev/null" })],
    ["SQL for an id", headed({ kid: "' or 1=1 --" })],
    ["a zero in an id", headed({ kid: `${header().kid}\0` })],
    ["a number for an id", () => signedText(JSON.stringify(good()), { ...header(), kid: 0 })],
    ["a list for an id", () => signedText(JSON.stringify(good()), { ...header(), kid: [header().kid] })],
    ["an id of 4,000 letters", headed({ kid: "k".repeat(4_000) })],
    ["the payload key's id", async () => signed(good(), { head: { ...header(), kid: (await security.ring.current("payload")).id } })],
    ["another type", headed({ typ: "at+jwt" })],
    ["a critical extension", beheaded(encode({ ...header(), crit: ["exp"], exp: 1 }))],
    ["another header", beheaded(encode({ ...header(), x: 1 }))],
  ];
}

function ofPayloads({ good, header, signed, signedText }: Forge): Forgery[] {
  const saying = (changed: object) => () => signed({ ...good(), ...changed });
  const without = (name: string) => () => signed(Object.fromEntries(Object.entries(good()).filter(([word]) => word !== name)));
  const text = (said: string) => () => signedText(said);
  return [
    ["an end in the past", saying({ exp: now() - 1 })],
    ["an end long ago", saying({ exp: 0 })],
    ["an end that is text", saying({ exp: "tomorrow" })],
    ["an end that is digits in quotes", text(JSON.stringify({ ...good(), exp: String(now() + 600) }))],
    ["no end", without("exp")],
    ["a beginning in the future", saying({ nbf: now() + 600 })],
    ["a beginning that is text", text(JSON.stringify({ ...good(), nbf: "now" }))],
    ["another issuer", saying({ iss: `urn:uuid:${randomUUID()}` })],
    ["an issuer elsewhere", saying({ iss: "https://127.0.0.1:1" })],
    ["no issuer", without("iss")],
    ["the audience of transfers", saying({ aud: "drover-gateway" })],
    ["the audience of archives", saying({ aud: "drover-archives" })],
    ["an empty list of audiences", saying({ aud: [] })],
    ["no audience", without("aud")],
    ["no id of its own", without("jti")],
    ["nobody", without("uid")],
    ["a number for a user", saying({ uid: 1 })],
    ["text for roles", saying({ roles: "SUPER_USER" })],
    ["no roles", without("roles")],
    ["no claims", without("claims")],
    ["a user that was never there", saying({ uid: randomUUID() })],
    ["an API key that was never there", saying({ api_key_id: randomUUID() })],
    ["a rule that was never there", saying({ identity_rule_id: randomUUID() })],
    ["a payload that is a list", text("[]")],
    ["a payload that is null", text("null")],
    ["a payload that is no JSON", text("{")],
    ["the same words twice, the last of another user", text(JSON.stringify(good()).replace(/\}$/, `,"uid":"${randomUUID()}"}`))],
    ["a token inside a token", async () => signedText(await signed(good()), { ...header(), cty: "JWT" })],
    ["a compressed payload", () => signed(good(), { head: { ...header(), zip: "DEF" }, by: other.privateKey })],
    ["8,000 letters of payload", () => signed({ ...good(), more: "m".repeat(8_000) }, { by: other.privateKey })],
  ];
}

function ofTouching({ good, parts }: Forge): Forgery[] {
  const touched = (touch: (of: Parts) => string) => async () => touch(await parts());
  return [
    ["another payload", touched(([head, , signature]) => `${head}.${encode({ ...good(), uid: "root" })}.${signature}`)],
    ["no signature", touched(([head, payload]) => `${head}.${payload}.`)],
    ["a signature of zeros", touched(([head, payload]) => `${head}.${payload}.${Buffer.alloc(64).toString("base64url")}`)],
    ["a signature that is too short", touched(([head, payload, signature]) => `${head}.${payload}.${signature.slice(0, -8)}`)],
    ["a signature that is too long", touched(([head, payload, signature]) => `${head}.${payload}.${signature}AAAA`)],
    ["the halves of the signature exchanged", touched(([head, payload, signature]) => `${head}.${payload}.${exchanged(signature)}`)],
    ["one letter of the signature changed", touched(([head, payload, signature]) => `${head}.${payload}.${flipped(signature, 10)}`)],
    ["one letter of the payload changed", touched(([head, payload, signature]) => `${head}.${flipped(payload, 20)}.${signature}`)],
    ["four parts", touched((all) => `${all.join(".")}.${all[2]}`)],
    ["two parts", touched(([head, payload]) => `${head}.${payload}`)],
    ["five parts", touched((all) => `${all.join(".")}.a.b`)],
  ];
}

function exchanged(signature: string): string {
  const bytes = Buffer.from(signature, "base64url");
  return Buffer.concat([bytes.subarray(32), bytes.subarray(0, 32)]).toString("base64url");
}
