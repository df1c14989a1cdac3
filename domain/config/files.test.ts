/** Guarantees of secrets as files: the file's value counts like the variable's, and a file that gives none is a mistake, never silence. */
import { describe, expect, it } from "vitest";
import { unwrap } from "../errors.ts";
import { withSecretFiles } from "./files.ts";
import { readConfig } from "./schema.ts";

const key = Buffer.alloc(32, 7).toString("base64");
const files: Readonly<Record<string, string>> = {
  "/run/secrets/key": `${key}\n`,
  "/run/secrets/database": "postgres://me:pa ss@db/drover\r\n",
  "/run/secrets/nothing": "\n",
};
const read = (path: string): string => {
  const text = files[path];
  if (text === undefined) throw new Error("no such file");
  return text;
};
const mistakesOf = (env: Record<string, string>) => {
  const result = readConfig(withSecretFiles(env, read));
  return result.ok ? [] : result.fault.details?.["mistakes"];
};

describe("secrets as files", () => {
  it("count like variables, without the end of their line", () => {
    const env = withSecretFiles({ DROVER_MASTER_KEY_FILE: "/run/secrets/key", DATABASE_URL_FILE: "/run/secrets/database" }, read);
    expect(env).toEqual({ DROVER_MASTER_KEY: key, DATABASE_URL: "postgres://me:pa ss@db/drover" });
    expect(unwrap(readConfig(env)).security.masterKey).toBe(key);
  });

  it("are a mistake that names the file when they cannot be read or are empty, so that no default takes their place", () => {
    expect(mistakesOf({ DROVER_MASTER_KEY_FILE: "/run/secrets/lost", ROOT_PASSWORD_FILE: "/run/secrets/nothing" })).toEqual([
      "DROVER_MASTER_KEY_FILE names /run/secrets/lost, which cannot be read or is empty",
      "ROOT_PASSWORD_FILE names /run/secrets/nothing, which cannot be read or is empty",
    ]);
  });

  it("are a mistake beside their variable, since one of the two would be ignored", () => {
    expect(mistakesOf({ DROVER_MASTER_KEY: key, DROVER_MASTER_KEY_FILE: "/run/secrets/key" })).toEqual([
      "DROVER_MASTER_KEY and DROVER_MASTER_KEY_FILE are both set",
    ]);
  });

  it("leave variables alone that are no secrets, such as Temporal's own TEMPORAL_CONFIG_FILE", () => {
    const env = { TEMPORAL_CONFIG_FILE: "/etc/temporal.toml", API_PORT_FILE: "/run/secrets/key" };
    expect(withSecretFiles(env, read)).toEqual(env);
  });
});
