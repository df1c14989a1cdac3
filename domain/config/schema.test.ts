/** Guarantees of the configuration: everything wrong is told at once, units end at this border, secrets never show. */
import { describe, expect, it } from "vitest";
import { unwrap } from "../errors.ts";
import { describeConfig, readConfig } from "./schema.ts";

const mistakesOf = (env: Record<string, string>) => {
  const result = readConfig(env);
  return result.ok ? [] : (result.fault.details?.["mistakes"] as string[]);
};

describe("readConfig", () => {
  it("has a default for everything", () => {
    const config = unwrap(readConfig({}, "/srv/drover"));
    expect(config.home).toBe("/srv/drover/.drover");
    expect(config.store.location).toBe("folder:/srv/drover/.drover/store");
    expect(config).toMatchObject({
      database: { url: undefined, embeddedPort: 5433 },
      temporal: { namespace: "drover" },
      api: { port: 3080 },
    });
    expect(config.api.modules).toHaveLength(8);
  });

  it("tells all mistakes at once, each with the variable, what it holds and what would be right", () => {
    const mistakes = mistakesOf({
      API_PORT: "80a",
      JWT_DURATION: "soon",
      ENABLED_MODULES: "api,host,web",
      DROVER_STORE: "ftp://x",
      TLS_ENABLED: "yes",
    });
    expect(mistakes).toHaveLength(5);
    expect(mistakes).toContain('API_PORT is "80a" and must be a whole number from 1 to 65535');
    expect(mistakes).toContain('JWT_DURATION is "soon" and must be a duration such as 500ms, 15m, 1h30m or 7d');
    expect(mistakes.find((line) => line.startsWith("ENABLED_MODULES"))).toContain(
      "does not know web; the known words are api, host, orchestrator, catalog, catalog_manager, reverse_proxy, cache, cors",
    );
  });

  it("never repeats a secret in a mistake", () => {
    const result = readConfig({
      DROVER_MASTER_KEY: "hunter2",
      DATABASE_URL: "mysql://me:hunter2@x/y",
      ROOT_PASSWORD: "hunter2",
      DROVER_STORE: "s3://me:hunter2@images",
    });
    expect(result.ok).toBe(false);
    expect(JSON.stringify(result)).not.toContain("hunter2");
    expect(mistakesOf({ ROOT_PASSWORD: "hunter2" })).toEqual(["ROOT_PASSWORD must have at least 8 characters"]);
  });

  it("refuses what only together is wrong", () => {
    expect(mistakesOf({ TLS_ENABLED: "true" })).toEqual(["TLS_ENABLED is true and must come with TLS_CERTIFICATE and TLS_PRIVATE_KEY"]);
    expect(mistakesOf({ API_PORT: "3443" })).toEqual(["GATEWAY_PORT and API_PORT are both 3443 and must differ"]);
    expect(mistakesOf({ DROVER_STORE_ACCESS_KEY: "key" })).toEqual([
      "DROVER_STORE_ACCESS_KEY and DROVER_STORE_SECRET_KEY must be set together",
    ]);
  });

  it("takes stores as folders and buckets, and no credentials in their address", () => {
    const s3 = "s3://images/mac?endpoint=http://10.0.0.2:9000&region=eu-west-1";
    expect(unwrap(readConfig({ DROVER_STORE: s3 })).store.location).toBe(s3);
    expect(unwrap(readConfig({ DROVER_STORE: "folder:images" }, "/srv")).store.location).toBe("folder:/srv/images");
    for (const wrong of ["s3://key:secret@images", "s3://No_Bucket", "s3://images?color=red", "/srv/images"])
      expect(mistakesOf({ DROVER_STORE: wrong })).toHaveLength(1);
  });

  it("leaves units behind: milliseconds and bytes inside", () => {
    const config = unwrap(readConfig({ JWT_DURATION: "1h30m", DROVER_PARK_LIMIT: "2d", SYSTEM_RESERVED_MEMORY: "2", API_PORT: "8080" }));
    expect(config.security.tokenLifetimeMs).toBe(90 * 60 * 1000);
    expect(config.parkLimitMs).toBe(2 * 24 * 60 * 60 * 1000);
    expect(config.hosts.reserved.memoryBytes).toBe(2 * 1024 * 1024);
    expect(config.api.url).toBe("http://127.0.0.1:8080");
  });

  it("takes an empty variable for one that is not set", () => {
    expect(unwrap(readConfig({ API_PORT: "", DROVER_STORE: "" }, "/x")).api.port).toBe(3080);
  });

  it("names the variables of the Parallels DevOps service that have no meaning here", () => {
    expect(unwrap(readConfig({ DATABASE_FOLDER: "/etc/x", HOME: "/root" })).ignored).toEqual(["DATABASE_FOLDER"]);
  });
});

describe("describeConfig", () => {
  it("shows what is in force and masks every secret", () => {
    const secrets = { ROOT_PASSWORD: "correct-horse", JWT_HMACS_SECRET: "battery-staple", DROVER_STORE_SECRET_KEY: "s3cr3t-s3cr3t" };
    const lines = describeConfig(
      unwrap(
        readConfig({
          ...secrets,
          DROVER_STORE_ACCESS_KEY: "AKIA",
          DATABASE_URL: "postgres://me:pa55word@db.example.com/drover",
          API_PORT: "9999",
        }),
      ),
    );
    const shown = JSON.stringify(lines);
    for (const secret of [...Object.values(secrets), "pa55word"]) expect(shown).not.toContain(secret);
    expect(lines.find(({ variable }) => variable === "DATABASE_URL")?.value).toBe("postgres://me:********@db.example.com/drover");
    expect(lines.find(({ variable }) => variable === "API_PORT")).toMatchObject({ value: "9999", chosen: true });
    expect(lines.every(({ description }) => description !== "")).toBe(true);
  });
});
