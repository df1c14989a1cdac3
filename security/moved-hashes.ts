/**
 * Hashes of passwords and secrets that came from a Parallels DevOps service: bcrypt over the secret and the first bytes of its owner's id.
 *
 * The one idea: the salt that the id was there stays with the hash, since ids need not be the same here. Such a hash is good for one proof: whoever
 * brings the secret has it kept by Argon2id from then on.
 */
import { verify } from "@node-rs/bcrypt";

const prefix = "moved:";
/** As much of an id as that service took, and the longest secret that it took; together they fill bcrypt's 72 bytes. */
const saltBytes = 32;
const longestBytes = 40;

export const isBcrypt = (hash: string): boolean => /^\$2[abxy]\$\d\d\$[./A-Za-z0-9]{53}$/.test(hash);

/** What is kept of a hash that belonged to `id` there. */
export const movedHash = (hash: string, id: string): string =>
  `${prefix}${Buffer.from(id).subarray(0, saltBytes).toString("base64url")}:${hash}`;

export const isMoved = (stored: string): boolean => stored.startsWith(prefix);

/** Both ways in which it may have been made: that service can be told to use no salt. */
export async function movedMatches(secret: string, stored: string): Promise<boolean> {
  const [salt = "", hash = ""] = stored.slice(prefix.length).split(":");
  const bytes = Buffer.from(secret);
  if (bytes.byteLength > longestBytes || !isBcrypt(hash)) return false;
  const salted = Buffer.concat([bytes, Buffer.from(salt, "base64url")]);
  return (await verify(salted, hash)) || (await verify(bytes, hash));
}
