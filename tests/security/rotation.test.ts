/** What a change of keys promises, on a real database: nothing that was written is lost, nothing that runs stops, and a kill at any moment does no harm. */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtemp, readdir, readFile, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from "vitest";
import { openDatabase, type OpenDatabase } from "../../db/connect.ts";
import { keyRows } from "../../db/keys.ts";
import { migrate } from "../../db/migrate.ts";
import { createDatabase } from "../../deploy/embedded/postgres.ts";
import { freshMs } from "../../security/key-ring.ts";
import { masterKeySource } from "../../security/master-key.ts";
import { openSecurity, type Security } from "../../security/open.ts";
import { forgetMasterKey, rotateKey, rotateMasterKey, showKeys } from "../../security/rotation.ts";
import { randomFrom, testSeed } from "../crash/random.ts";

let folder: string;
let home: string;
let url: string;
let open: OpenDatabase;
const claims = { email: "ann@example.com", username: "Ann", uid: "1", roles: ["USER"], claims: [] };
const sourceOf = (given?: string, next?: string) => masterKeySource({ given, next, home });
const keeperOf = (given?: string, next?: string) => ({ masterKey: sourceOf(given, next), keys: keyRows(open.db) });
const start = (given?: string, next?: string): Promise<Security> => openSecurity(keeperOf(given, next));
const payload = (word: string) => ({ metadata: { encoding: Buffer.from("json/plain") }, data: Buffer.from(JSON.stringify(word)) });
const keyIdOf = (one: { metadata?: Record<string, Uint8Array> | null } | undefined) =>
  Buffer.from(one?.metadata?.["encryption-key-id"] ?? []).toString();
const newKeyWord = () => randomBytes(32).toString("base64");

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "drover-rotation-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));
beforeEach(async () => {
  home = await mkdtemp(join(folder, "home-"));
  url = await createDatabase(inject("databaseUrl"));
  await migrate(url);
  open = openDatabase(url);
  return () => open.close();
});

/** Something of everything that keys are for, and that it can still be used in a process that starts now. */
async function writtenBy({ sealer, codec, signer, transfers, archives, authority, hubId }: Security) {
  const sealed = await sealer.seal({ key: "s3" }, "store:1");
  const [encoded = {}] = await codec.encode([payload("before")]);
  const { token } = await signer.issue(claims, 3_600_000);
  const right = await transfers.issue("019");
  const about = { image: "1", user: "2", key: "" };
  const pull = await archives.issue(about);
  return async (now: Security) => {
    expect(await now.sealer.open(sealed, "store:1")).toEqual({ key: "s3" });
    expect(Buffer.from((await now.codec.decode([encoded]))[0]?.data ?? []).toString()).toBe('"before"');
    expect(await now.signer.verify(token)).toMatchObject(claims);
    expect(await now.transfers.verify(right.token)).toMatchObject({ operationId: "019" });
    expect(await now.archives.verify(pull.token)).toMatchObject({ about });
    expect([now.hubId, now.authority.sha256]).toEqual([hubId, authority.sha256]);
  };
}

describe("a new master key", () => {
  it("opens everything, is another file of mode 0600, and leaves the old one for backups", async () => {
    const still = await writtenBy(await start());
    const before = await readFile(join(home, "master.key"), "utf8");
    const { id, replaced } = await rotateMasterKey(keeperOf());
    await still(await start());
    expect(await readFile(join(home, "master.key"), "utf8")).not.toBe(before);
    expect(await readFile(join(home, `master.key.${replaced}.old`), "utf8")).toBe(before);
    expect((await readdir(home)).toSorted()).toEqual(["master.key", `master.key.${replaced}.old`]);
    expect((await showKeys(keeperOf())).masterKey).toMatchObject({ id, since: expect.any(Date) as Date });
  });

  it("leaves nothing in the database that the old one opens", async () => {
    await start();
    const old = (await readFile(join(home, "master.key"), "utf8")).trim();
    await rotateMasterKey(keeperOf());
    await expect(start(old)).rejects.toMatchObject({ fault: { code: "master_key_lost" } });
  });

  it("stops no process that runs: it goes on with the keys that it opened, and learns those that are made later", async () => {
    const running = await start();
    const still = await writtenBy(running);
    await rotateMasterKey(keeperOf());
    const made = await rotateKey(keeperOf(), "payload");
    await still(running);
    const [fromElsewhere = {}] = await (await start()).codec.encode([payload("after")]);
    expect(keyIdOf(fromElsewhere)).toBe(made.id);
    expect(Buffer.from((await running.codec.decode([fromElsewhere]))[0]?.data ?? []).toString()).toBe('"after"');
  });

  it("is found by a database that was restored from before it", async () => {
    const still = await writtenBy(await start());
    const rows = await open.sql`select id, wrapped from keys`;
    const [hub] = await open.sql`select master_key_check from hub`;
    await rotateMasterKey(keeperOf());
    await open.sql`update hub set master_key_check = ${hub?.["master_key_check"]}`;
    for (const { id, wrapped } of rows) await open.sql`update keys set wrapped = ${wrapped} where id = ${id}`;
    await still(await start());
  });

  it("given by variables is taken over by processes that know both, and told to those that do not", async () => {
    const [old, next] = [newKeyWord(), newKeyWord()];
    const [knows, knowsNot] = [await start(old, next), await start(old)];
    const still = await writtenBy(knows);
    await expect(rotateMasterKey(keeperOf(old))).rejects.toThrow(/DROVER_MASTER_KEY_NEXT/);
    await rotateMasterKey(keeperOf(old, next));
    await expect(rotateMasterKey(keeperOf(old, next))).rejects.toThrow(/already/);
    for (const now of [knows, knowsNot, await start(old, next), await start(next)]) await still(now);
    const made = await rotateKey(keeperOf(next), "payload");
    const [after = {}] = await (await start(next)).codec.encode([payload("after")]);
    expect(keyIdOf(after)).toBe(made.id);
    expect(await knows.codec.decode([after])).toHaveLength(1);
    await expect(knowsNot.codec.decode([after])).rejects.toMatchObject({ fault: { code: "master_key_lost" } });
    await expect(start(old)).rejects.toMatchObject({ fault: { code: "master_key_lost" } });
  });

  it("leaves either the old or the new one in force when it is killed, wherever that is", async () => {
    const still = await writtenBy(await start());
    const seed = testSeed();
    process.stdout.write(`rotation killed at random: DROVER_TEST_SEED=${seed}\n`);
    const random = randomFrom(seed);
    const program = fileURLToPath(new URL("./rotating.ts", import.meta.url));
    for (let round = 0; round < 4; round += 1) {
      const child = spawn(process.execPath, [program, url, home], { stdio: ["ignore", "pipe", "inherit"] });
      const ended = new Promise((resolve) => child.once("close", resolve));
      await new Promise((resolve) => child.stdout.once("data", resolve));
      await delay(random.between(0, 40));
      child.kill("SIGKILL");
      await ended;
      await still(await start());
    }
  }, 180_000);

  it("ends what a kill between the transaction and the new file left", async () => {
    const still = await writtenBy(await start());
    const settle = async () => {
      if ((await readdir(home)).includes("master.key.next")) throw new Error("killed");
    };
    await expect(rotateMasterKey({ ...keeperOf(), masterKey: { ...sourceOf(), settle } })).rejects.toThrow("killed");
    expect(await readdir(home)).toContain("master.key.next");
    await still(await start());
    expect(await readdir(home)).not.toContain("master.key.next");
  });

  it("is one key for all, however many change it at once", async () => {
    const still = await writtenBy(await start());
    await Promise.all([1, 2, 3, 4].map(() => rotateMasterKey(keeperOf())));
    await still(await start());
  });
});

describe("a new key of a purpose", () => {
  it("is used for everything new by every process within seconds, and the older ones read what they wrote", async () => {
    const running = await start();
    const still = await writtenBy(running);
    const [payloads, signing, grant] = [
      await rotateKey(keeperOf(), "payload"),
      await rotateKey(keeperOf(), "signing"),
      await rotateKey(keeperOf(), "grant"),
    ];
    await delay(freshMs);
    const encoded = await running.codec.encode(Array.from({ length: 50 }, (_, n) => payload(`${n}`)));
    expect(new Set(encoded.map(keyIdOf))).toEqual(new Set([payloads.id]));
    expect(Buffer.from((await running.sealer.seal("x", "row")).subarray(0, 36)).toString()).toBe(payloads.id);
    expect((await running.ring.current("signing")).id).toBe(signing.id);
    expect((await running.ring.current("grant")).id).toBe(grant.id);
    await still(running);
  });

  it("is not needed while the database is away: whoever has keys goes on", async () => {
    let isAway = false;
    const rows = keyRows(open.db);
    const list = async () => {
      if (isAway) throw new Error("away");
      return rows.list();
    };
    const running = await openSecurity({ masterKey: sourceOf(), keys: { ...rows, list } });
    const still = await writtenBy(running);
    isAway = true;
    await delay(freshMs);
    await still(running);
  });
});

describe("a lost master key", () => {
  it("is given up only when it is lost, and what it sealed goes with it", async () => {
    const before = await start();
    await expect(forgetMasterKey(keeperOf())).rejects.toMatchObject({ fault: { code: "master_key_works" } });
    const sealed = Buffer.from(await before.sealer.seal({ secretAccessKey: "x" }, "store:1"));
    await open.sql`insert into stores (id, name, kind, location, sealed) values (gen_random_uuid(), 'bucket', 's3', 's3://bucket', ${sealed})`;
    await rename(join(home, "master.key"), join(home, "elsewhere"));
    await expect(start()).rejects.toMatchObject({ fault: { code: "master_key_lost" } });
    expect(await forgetMasterKey(keeperOf())).toMatchObject({ stores: 1 });
    const after = await start();
    expect(after.hubId).toBe(before.hubId);
    expect(after.authority.sha256).not.toBe(before.authority.sha256);
    expect(await open.sql`select sealed, state from stores`).toEqual([{ sealed: null, state: "denied" }]);
  });
});
