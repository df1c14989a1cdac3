/**
 * The host keys that OpenSSH's `known_hosts` tells for a computer.
 *
 * The one idea: a key that is not told there is no proof of anything, so a connection ends before any credential is sent.
 */
import { createHmac } from "node:crypto";

/** What the lines of a file say of a host: keys to believe, and keys that were taken back. Base64, as they stand. */
export function keysOf(file: string, host: string, port: number): { known: string[]; revoked: string[] } {
  const name = port === 22 ? host.toLowerCase() : `[${host.toLowerCase()}]:${port}`;
  const [known, revoked]: [string[], string[]] = [[], []];
  for (const line of file.split("\n")) {
    const parts = line.trim().split(/\s+/);
    const marker = parts[0]?.startsWith("@") ? parts.shift() : undefined;
    const [names = "", , key] = parts;
    if (names === "" || names.startsWith("#") || key === undefined || !isMeant(names, name)) continue;
    if (marker === "@revoked") revoked.push(key);
    // A key that signs others (`@cert-authority`) is no host's own.
    else if (marker === undefined) known.push(key);
  }
  return { known, revoked };
}

function isMeant(names: string, name: string): boolean {
  const [, salt = "", sum = ""] = /^\|1\|([^|]+)\|(.+)$/.exec(names) ?? [];
  if (salt !== "") return createHmac("sha1", Buffer.from(salt, "base64")).update(name).digest("base64") === sum;
  const patterns = names.toLowerCase().split(",");
  const fits = (pattern: string) => globOf(pattern).test(name);
  return !patterns.some((one) => one.startsWith("!") && fits(one.slice(1))) && patterns.some((one) => !one.startsWith("!") && fits(one));
}

const globOf = (pattern: string): RegExp =>
  new RegExp(
    `^${pattern
      .replaceAll(/[.+^${}()|[\]\\]/g, String.raw`\$&`)
      .replaceAll("*", ".*")
      .replaceAll("?", ".")}$`,
  );
