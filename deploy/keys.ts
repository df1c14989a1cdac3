/**
 * What `drover key` does on a computer of the hub: its configuration leads to the database and to the master key.
 *
 * The one idea: each tool opens the database for itself and closes it again, and none needs a hub process; all of them may run while hubs do,
 * but for the one that gives a lost key up.
 */
import { setTimeout as after } from "node:timers/promises";
import type { Forgotten, KeyTools, Rotatable, Rotated } from "../cli/parts.ts";
import { type Database, openDatabase } from "../db/connect.ts";
import { otherSessions } from "../db/forgetting.ts";
import { keyRows } from "../db/keys.ts";
import { checkSchema } from "../db/migrate.ts";
import type { Config } from "../domain/config/schema.ts";
import { FaultError } from "../domain/errors.ts";
import { masterKeySource } from "../security/master-key.ts";
import { idOfKey, invalidKey, keyOf, type MasterKeySource, sameKey, wordOf } from "../security/master-key-word.ts";
import { provenKey } from "../security/proof.ts";
import { forgetMasterKey, type Keeper, rotateKey, rotateMasterKey, showKeys } from "../security/rotation.ts";
import { keptPostgresUrl } from "./embedded/postgres.ts";

export function keyTools(config: Config): KeyTools {
  const { masterKey: given, masterKeyNext: next } = config.security;
  const masterKey = masterKeySource({ given, next, home: config.home });
  const keeping = <T>(work: (keeper: Keeper, db: Database) => Promise<T>): Promise<T> =>
    withDatabase(config, (db) => work({ masterKey, keys: keyRows(db) }, db));
  return {
    show: () => keeping(showKeys),
    rotate: (key) => keeping((keeper) => rotate(keeper, key)),
    read: () => readKey(masterKey, keeping),
    take: (text) => takeKey(masterKey, keeping, text),
    forget: () => keeping(forget),
  };
}

type Keeping = <T>(work: (keeper: Keeper, db: Database) => Promise<T>) => Promise<T>;

const rotate = (keeper: Keeper, key: Rotatable): Promise<Rotated> => (key === "master" ? rotateMasterKey(keeper) : rotateKey(keeper, key));

/** The one that the database proves; without a database the one in force here. */
async function readKey(masterKey: MasterKeySource, keeping: Keeping) {
  const [first] = await masterKey.read();
  if (!first) throw invalidKey(`There is no master key here: ${masterKey.name} has none.`);
  const proven = await ifReachable(() => keeping((keeper) => keeper.keys.locked((table) => provenKey(masterKey, table))));
  const { bytes } = proven?.key ?? first;
  return { key: wordOf(bytes), id: idOfKey(bytes), proven: proven !== null };
}

async function takeKey(masterKey: MasterKeySource, keeping: Keeping, text: string) {
  const { bytes } = keyOf(text, "what was given");
  const only: MasterKeySource = {
    ...masterKey,
    name: "what was given",
    read: async () => [{ bytes, from: "what was given" }],
    settle: async () => {},
  };
  const proven = await ifReachable(() => keeping(({ keys }) => keys.locked((table) => provenKey(only, table))));
  const [before] = await masterKey.read();
  if (!before || !sameKey(before.bytes, bytes)) await masterKey.take(bytes);
  return { id: idOfKey(bytes), file: masterKey.name, proven: proven !== null };
}

/** A session that was just closed is seen for a moment longer. */
const lingerMs = 2_000;

async function forget(keeper: Keeper, db: Database): Promise<Forgotten> {
  for (const until = Date.now() + lingerMs; ; await after(100)) {
    const others = await otherSessions(db);
    if (others === 0) return forgetMasterKey(keeper);
    if (Date.now() > until)
      throw new FaultError({
        code: "master_key_works",
        message: `There are ${others} other sessions on the database: processes that run still have the keys in their memory.`,
        details: { remedy: "Stop every hub, API and gateway first." },
      });
  }
}

async function withDatabase<T>(config: Config, work: (db: Database) => Promise<T>): Promise<T> {
  const url = config.database.url ?? (await keptPostgresUrl(config.home, config.database.embeddedPort));
  if (url === null)
    throw new FaultError({ code: "hub_unavailable", message: `There is no database in ${config.home}, and DATABASE_URL is not set.` });
  await checkSchema(url).catch((error: unknown) => {
    if (error instanceof FaultError) throw error;
    throw new FaultError({ code: "hub_unavailable", message: "The database does not answer." }, { cause: error });
  });
  const open = openDatabase(url, { connections: 1 });
  return work(open.db).finally(() => open.close());
}

async function ifReachable<T>(ask: () => Promise<T>): Promise<T | null> {
  return ask().catch((error: unknown) => {
    if (error instanceof FaultError && error.fault.code === "hub_unavailable") return null;
    throw error;
  });
}
