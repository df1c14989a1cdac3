/**
 * Moving in, the part about people: claims, roles, users with their hashes, API keys, what clients keep for users.
 *
 * The one idea: what is here already stays as it is, so a second run changes nothing, and whoever has the same name here is the same person.
 */
import { createHash } from "node:crypto";
import type { Database } from "../../db/connect.ts";
import { createApiKey, findApiKey, revokeApiKey } from "../../db/api-keys.ts";
import { createClaim, createRole, findClaim, findRole, unknownClaims, unknownRoles } from "../../db/roles.ts";
import { findUserConfig, writeUserConfig, type UserConfigValues } from "../../db/user-configs.ts";
import { createUser, findUser, rootName } from "../../db/users.ts";
import { accessName } from "../../domain/access/rules.ts";
import type { DevopsDatabase } from "../../domain/moving/devops.ts";
import type { Moved } from "../../domain/moving/report.ts";
import { isBcrypt, movedHash } from "../../security/moved-hashes.ts";
import { userConfigSeal } from "../../security/sealed-texts.ts";
import type { Hub } from "../ports.ts";

/** Everything is written in one transaction, which a dry run takes back. */
export interface Moving {
  readonly tx: Database;
  readonly hub: Pick<Hub, "sealer">;
  readonly project: string;
  readonly data: DevopsDatabase;
  tell(kind: Moved["kind"], name: string, what: Moved["what"], note?: string): void;
}
/** Ids of users there, and who they are here. */
export type UserIds = ReadonlyMap<string, string>;

/** The same id for the same record, however often it comes. */
export function idFrom(kind: string, id: string): string {
  const hex = createHash("sha256").update(`devops ${kind} ${id}`).digest("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

export async function movePeople(moving: Moving): Promise<UserIds> {
  await moveClaims(moving);
  await moveRoles(moving);
  const ids = await moveUsers(moving);
  await moveKeys(moving, ids);
  await moveConfigs(moving, ids);
  return ids;
}

async function moveClaims({ tx, data, tell }: Moving): Promise<void> {
  for (const { id, name } of data.claims) {
    const claim = accessName(id || name);
    if (claim === "" || (await findClaim(tx, claim))) continue;
    await createClaim(tx, claim);
    tell("claim", claim, "added");
  }
}

async function moveRoles({ tx, data, tell }: Moving): Promise<void> {
  for (const { id, name, claims } of data.roles) {
    const role = accessName(id || name);
    if (role === "") continue;
    const wanted = [...new Set(claims.map(accessName))];
    const known = await findRole(tx, role);
    if (known) {
      const missing = wanted.filter((claim) => !known.claims.includes(claim));
      if (missing.length > 0) tell("role", role, "kept", `here without ${missing.join(", ")}: add them where they are meant`);
      continue;
    }
    const strange = await unknownClaims(tx, wanted);
    await createRole(
      tx,
      role,
      wanted.filter((claim) => !strange.includes(claim)),
    );
    tell("role", role, "added", strange.length === 0 ? "" : `without ${strange.join(", ")}, which the file does not define`);
  }
}

async function moveUsers({ tx, data, tell }: Moving): Promise<UserIds> {
  const ids = new Map<string, string>();
  for (const user of data.users) {
    const known = (await findUser(tx, user.username)) ?? (user.email === "" ? null : await findUser(tx, user.email));
    if (known) {
      ids.set(user.id, known.id);
      tell(
        "user",
        user.username,
        "kept",
        user.username.toLowerCase() === rootName ? "this hub has its own root, with its own password" : "",
      );
      continue;
    }
    if (user.id === "" || user.username === "" || user.email === "") {
      tell("user", user.username || user.id, "todo", "a user needs an id, a user name and an e-mail address");
      continue;
    }
    const [roles, claims] = [[...new Set(user.roles.map(accessName))], [...new Set(user.claims.map(accessName))]];
    const strange = [...(await unknownRoles(tx, roles)), ...(await unknownClaims(tx, claims))];
    const kept = (list: string[]) => list.filter((word) => !strange.includes(word));
    const hash = isBcrypt(user.password) ? movedHash(user.password, user.id) : null;
    const { id, username, name, email } = user;
    const made = await createUser(tx, {
      id,
      username,
      name: name || username,
      email,
      passwordHash: hash,
      roles: kept(roles),
      claims: kept(claims),
    });
    if (!made) {
      tell("user", username, "todo", "another user here has its id, name or address");
      continue;
    }
    ids.set(id, id);
    const notes = [
      ...(hash === null ? ["without a password: set one"] : []),
      ...(strange.length === 0 ? [] : [`without ${strange.join(", ")}, which the file does not define`]),
      ...(user.blocked ? ["it was marked as blocked there, which kept nobody out: remove it where that is meant"] : []),
    ];
    tell("user", username, "added", notes.join("; "));
  }
  return ids;
}

async function moveKeys({ tx, data, tell }: Moving, ids: UserIds): Promise<void> {
  for (const { id, name, key, secret, revoked, expires_at, user_id } of data.api_keys) {
    // Made for one transfer, and worth nothing since.
    if (name.startsWith("local-catalog-")) continue;
    const userId = user_id === "" ? null : (ids.get(user_id) ?? null);
    const expiresAt = expires_at === "" ? null : new Date(expires_at);
    if (await findApiKey(tx, name)) tell("api key", name, "kept");
    else if (user_id !== "" && userId === null)
      tell("api key", name, "todo", "its user is not in the file: make a new key for whoever uses it");
    else if (!isBcrypt(secret) || (expiresAt && Number.isNaN(expiresAt.getTime())))
      tell("api key", name, "todo", "its secret or its expiry cannot be read: make a new key");
    else if (await findApiKey(tx, key)) tell("api key", name, "todo", `another key here is called ${key}`);
    else {
      const row = { id: idFrom("api key", id), name, key, secretHash: movedHash(secret, id), userId, expiresAt, claims: null };
      await createApiKey(tx, row);
      if (revoked) await revokeApiKey(tx, row.id);
      const speaks =
        userId === null
          ? "it has no user there and speaks for root here: give it one by making it anew"
          : "it has its user's rights, no more";
      tell("api key", name, "added", revoked ? "revoked, as it was" : speaks);
    }
  }
}

const configTypes = ["string", "bool", "int", "json"] as const;
const isConfigType = (word: string): word is UserConfigValues["type"] => configTypes.some((type) => type === word);

async function moveConfigs({ tx, hub, data, tell }: Moving, ids: UserIds): Promise<void> {
  for (const { user_id, slug, name, type, value } of data.user_configs) {
    const userId = ids.get(user_id);
    if (userId === undefined) tell("user configuration", slug, "todo", "its user is not in the file");
    else if (await findUserConfig(tx, userId, slug)) tell("user configuration", slug, "kept");
    else if (slug === "" || !isConfigType(type || "string"))
      tell("user configuration", slug, "todo", `its type "${type.slice(0, 32)}" is none`);
    else {
      const sealed = await userConfigSeal(hub.sealer).close(userId, slug, value);
      await writeUserConfig(tx, { userId, slug }, { name: name || slug, type: isConfigType(type) ? type : "string", sealed });
      tell("user configuration", slug, "added");
    }
  }
}
