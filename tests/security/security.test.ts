/** What the master key, the key ring and the tokens promise, on a real database. */
import { randomBytes, randomUUID } from "node:crypto";
import { chmod, mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, createServer } from "node:tls";
import { SignJWT } from "jose";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { openDatabase, type OpenDatabase } from "../../db/connect.ts";
import { keyRows } from "../../db/keys.ts";
import { migrate } from "../../db/migrate.ts";
import { createDatabase } from "../../deploy/embedded/postgres.ts";
import { newHostKey, signHostToken, verifyHostToken } from "../../security/host-tokens.ts";
import { masterKeySource } from "../../security/master-key.ts";
import { openSecurity } from "../../security/open.ts";
import { rotateKey, type RotatedPurpose } from "../../security/rotation.ts";
import { passwordHasher } from "../../security/passwords.ts";
import { newSecret, secretMatches } from "../../security/secrets.ts";
import { userTokens } from "../../security/user-tokens.ts";

let open: OpenDatabase;
let home: string;
const claims = { email: "ann@example.com", username: "Ann", uid: "1", roles: ["USER"], claims: ["READ_ONLY"] };
const start = (given?: string, folder = home) =>
  openSecurity({ masterKey: masterKeySource({ given, home: folder }), keys: keyRows(open.db) });
const keeper = () => ({ masterKey: masterKeySource({ given: undefined, home }), keys: keyRows(open.db) });
const rotate = (purpose: RotatedPurpose) => rotateKey(keeper(), purpose);

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "drover-security-"));
  const url = await createDatabase(inject("databaseUrl"));
  await migrate(url);
  open = openDatabase(url);
}, 180_000);
afterAll(async () => {
  await open.close();
  await rm(home, { recursive: true, force: true });
});

describe("the first start", () => {
  it("ends in one set of keys, however many processes start at the same moment", async () => {
    const started = await Promise.all([start(), start(), start(), start()]);
    expect(new Set(started.map(({ hubId, authority }) => `${hubId} ${authority.sha256}`)).size).toBe(1);
    const [first, second] = started;
    const sealed = await first?.sealer.seal({ secret: 1 }, "row:1");
    expect(await second?.sealer.open(sealed ?? new Uint8Array(), "row:1")).toEqual({ secret: 1 });
    expect((await stat(join(home, "master.key"))).mode & 0o777).toBe(0o600);
  });

  it("stores no key in clear", async () => {
    const { ring } = await start();
    const rows = await open.sql`select wrapped, public from keys`;
    const stored = Buffer.concat(
      rows.map(({ wrapped, public: shown }) => Buffer.concat([wrapped as Buffer, Buffer.from(JSON.stringify(shown))])),
    );
    for (const purpose of ["payload", "signing", "authority", "grant"] as const) {
      for (const { secret } of await ring.all(purpose)) expect(stored.includes(secret)).toBe(false);
    }
  });
});

describe("the master key", () => {
  it("is told to be lost when the file is missing, and no other is made in its place", async () => {
    await start();
    const empty = await mkdtemp(join(home, "empty-"));
    await expect(start(undefined, empty)).rejects.toMatchObject({
      fault: { code: "master_key_lost", message: expect.stringContaining("missing") as string },
    });
    await expect(readFile(join(empty, "master.key"))).rejects.toMatchObject({ code: "ENOENT" });
  });

  it("is told to be the wrong one", async () => {
    await start();
    await expect(start(randomBytes(32).toString("base64"))).rejects.toMatchObject({
      fault: { code: "master_key_lost", message: expect.stringContaining("not the one") as string },
    });
  });

  it("may be given as base64 or hexadecimal instead of the file", async () => {
    const { hubId } = await start();
    const key = Buffer.from((await readFile(join(home, "master.key"), "utf8")).trim(), "base64");
    const empty = await mkdtemp(join(home, "empty-"));
    for (const given of [key.toString("base64"), key.toString("hex"), key.toString("base64url")])
      expect((await start(given, empty)).hubId).toBe(hubId);
  });

  it("is refused when others may read its file", async () => {
    const { mode } = await stat(join(home, "master.key"));
    await chmod(join(home, "master.key"), 0o644);
    await expect(start()).rejects.toMatchObject({ fault: { code: "configuration_invalid" } });
    await chmod(join(home, "master.key"), mode);
  });
});

describe("the payload codec", () => {
  const payload = (word: string) => ({ metadata: { encoding: Buffer.from("json/plain") }, data: Buffer.from(JSON.stringify(word)) });

  it("reads what older keys wrote after a rotation, also in a process that has not heard of it", async () => {
    const [here, elsewhere] = [await start(), await start()];
    const [before] = await here.codec.encode([payload("before")]);
    await elsewhere.codec.encode([payload("warm")]);
    await rotate("payload");
    const rotated = await start();
    const [after] = await rotated.codec.encode([payload("after")]);
    expect(Buffer.from(after?.metadata?.["encryption-key-id"] ?? []).toString()).not.toBe(
      Buffer.from(before?.metadata?.["encryption-key-id"] ?? []).toString(),
    );
    const decoded = await elsewhere.codec.decode([before ?? {}, after ?? {}]);
    expect(decoded.map(({ data }) => Buffer.from(data ?? []).toString())).toEqual(['"before"', '"after"']);
  });

  it("passes what it did not encrypt, and refuses what was changed", async () => {
    const { codec } = await start();
    const clear = payload("sent by the stock command");
    expect(await codec.decode([clear])).toEqual([clear]);
    const [sealed = {}] = await codec.encode([payload("x")]);
    const changed = Uint8Array.from(sealed.data ?? []);
    changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1;
    await expect(codec.decode([{ ...sealed, data: changed }])).rejects.toMatchObject({ fault: { code: "internal" } });
  });
});

describe("the sealer", () => {
  it("opens a value only where it belongs", async () => {
    const { sealer } = await start();
    const sealed = await sealer.seal({ key: "s3" }, "store:1");
    await expect(sealer.open(sealed, "store:2")).rejects.toMatchObject({ fault: { code: "internal" } });
    expect(Buffer.from(sealed).includes("s3")).toBe(false);
  });
});

describe("user tokens", () => {
  it("say who it is in the names that clients read, for as long as they were made for", async () => {
    const { signer } = await start();
    const { token, expiresAt } = await signer.issue({ ...claims, api_key_id: "k" }, 60_000);
    const payload = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()) as Record<string, unknown>;
    expect(payload).toMatchObject({ ...claims, api_key_id: "k", exp: expiresAt.getTime() / 1000, aud: "drover-api" });
    expect(Object.keys(payload).toSorted()).toEqual([...Object.keys(claims), "api_key_id", "aud", "exp", "iat", "iss", "jti"].toSorted());
    expect(await signer.verify(token)).toMatchObject({ ...claims, expiresAt });
    await expect(signer.verify((await signer.issue(claims, -1000)).token)).rejects.toMatchObject({ fault: { code: "unauthenticated" } });
  });

  it("stay valid when the signing key was rotated", async () => {
    const { signer } = await start();
    const { token } = await signer.issue(claims, 60_000);
    await rotate("signing");
    await expect(signer.verify(token)).resolves.toMatchObject({ uid: "1" });
    expect((await (await start()).signer.jwks()).keys.length).toBeGreaterThan(1);
  });

  it("are refused when their header chose another algorithm than ours", async () => {
    const { signer, ring } = await start();
    const { id, public: shown } = await ring.current("signing");
    const { hubId } = await start();
    const withSecret = (secret: Uint8Array) =>
      new SignJWT({ ...claims }).setProtectedHeader({ alg: "HS256", kid: id }).setExpirationTime("1h").sign(secret);
    const unsigned = `${Buffer.from('{"alg":"none"}').toString("base64url")}.${Buffer.from(JSON.stringify({ ...claims, exp: 9e9 })).toString("base64url")}.`;
    const shared = await userTokens(ring, { hubId, secret: "a-shared-secret" }).issue(claims, 60_000);
    for (const token of [await withSecret(Buffer.from(JSON.stringify(shown))), unsigned, shared.token, "", "a.b.c"]) {
      await expect(signer.verify(token)).rejects.toMatchObject({ fault: { code: "unauthenticated" } });
    }
    const { token } = await signer.issue(claims, 60_000);
    await expect(userTokens(ring, { hubId, secret: "a-shared-secret" }).verify(token)).rejects.toMatchObject({
      fault: { code: "unauthenticated" },
    });
    await expect(userTokens(ring, { hubId, secret: "a-shared-secret" }).verify(shared.token)).resolves.toMatchObject({ uid: "1" });
  });
});

describe("host tokens", () => {
  it("are worth something at their own hub, from their own host, only", async () => {
    const [key, other] = [newHostKey(), newHostKey()];
    const [hostId, hubId, session] = [randomUUID(), randomUUID(), randomUUID()];
    const token = await signHostToken({ key, hostId, hubId, session });
    expect(await verifyHostToken(token, { publicKey: key.x, hostId, hubId })).toMatchObject({ session });
    for (const wrong of [
      { publicKey: other.x, hostId, hubId },
      { publicKey: key.x, hostId: randomUUID(), hubId },
      { publicKey: key.x, hostId, hubId: randomUUID() },
    ]) {
      await expect(verifyHostToken(token, wrong)).rejects.toMatchObject({ fault: { code: "unauthenticated" } });
    }
  });
});

describe("passwords and secrets", () => {
  it("begins with nothing that a command line takes for an option", () => {
    expect(Array.from({ length: 2000 }, () => newSecret().secret).filter((secret) => secret.startsWith("-"))).toEqual([]);
  });

  it("match themselves, hashed by Argon2id and again from memory, and nothing else", async () => {
    const passwords = passwordHasher();
    const stored = await passwords.hash("correct horse");
    expect(stored).toContain("$argon2id$v=19$m=19456,t=2,p=1$");
    expect(
      await Promise.all([
        passwords.matches("correct horse", stored),
        passwords.matches("wrong", stored),
        passwords.matches("correct horse", null),
      ]),
    ).toEqual([true, false, false]);
    const [again, changed] = [
      passwords.matches("correct horse", stored),
      passwords.matches("correct horse", await passwords.hash("changed")),
    ];
    expect(await Promise.all([again, changed, passwords.matches("wrong", stored)])).toEqual([true, false, false]);
    const { secret, hash } = newSecret();
    expect(await secretMatches(secret, hash, passwords)).toBe(true);
    expect(await secretMatches(`${secret}x`, hash, passwords)).toBe(false);
    expect(await secretMatches("correct horse", stored, passwords)).toBe(true);
  });
});

describe("the hub authority", () => {
  it("issues certificates that clients who trust it alone accept, for the names they were made for", async () => {
    const { authority } = await start();
    const { certificate, privateKey } = await authority.issue(["localhost", "127.0.0.1"]);
    const server = createServer({ cert: certificate, key: privateKey, minVersion: "TLSv1.3" }).listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    const address = server.address();
    const port = typeof address === "object" && address ? address.port : 0;
    const reach = (servername: string) =>
      new Promise<boolean>((resolve) => {
        const socket = connect({ host: "127.0.0.1", port, servername, ca: authority.certificate }, () => resolve(socket.end().authorized));
        socket.once("error", () => resolve(false));
      });
    expect([await reach("localhost"), await reach("other.example.com")]).toEqual([true, false]);
    server.close();
  });
});
