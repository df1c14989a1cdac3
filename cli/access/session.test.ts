/** Which hub is asked and in whose name: the nearest says it. */
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FaultError } from "../../domain/errors.ts";
import { writeLogin } from "./login-file.ts";
import { baseOf, openSession } from "./session.ts";

let folder: string;
let env: Record<string, string>;
const soon = () => new Date(Date.now() + 600_000);
const past = () => new Date(Date.now() - 1_000);

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "drover-session-"));
  // The project's own home must not be found: a developer may run a stack there.
  env = { DROVER_CONFIG_DIR: join(folder, "config"), DROVER_HOME: join(folder, "home") };
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const login = (url: string, expiresAt: Date) => writeLogin(env, { url, username: "ann", token: "a.b.c", expiresAt });
async function embedded(url: string, token: string): Promise<void> {
  await mkdir(join(folder, "home"), { recursive: true });
  await writeFile(join(folder, "home", "cli.json"), JSON.stringify({ url, username: "root", passwordFile: "root-password" }));
  await writeFile(join(folder, "home", "cli-token.json"), JSON.stringify({ url, token, expiresAt: soon() }));
}
const open = () => openSession({ env, folder });
const faultOf = async (work: Promise<unknown>) => {
  const error = await work.catch((thrown: unknown) => thrown);
  if (error instanceof FaultError) return error.fault;
  throw new Error("It did not fail with a fault.");
};

describe("session", () => {
  it("takes address and token from the environment before anything else", async () => {
    await login("https://kept.example.com", soon());
    Object.assign(env, { DROVER_URL: "https://hub.example.com/", DROVER_TOKEN: "x.y.z" });
    const session = await open();
    expect(session.url).toBe("https://hub.example.com");
    expect(await session.headers()).toEqual({ authorization: "Bearer x.y.z" });
  });

  it("sends what is no token of ours as an API key", async () => {
    env["DROVER_TOKEN"] = "bmFtZTpzZWNyZXQ=";
    expect(await (await open()).headers()).toEqual({ "x-api-key": "bmFtZTpzZWNyZXQ=" });
  });

  it("uses the login before the embedded stack", async () => {
    await embedded("http://127.0.0.1:3080", "e.f.g");
    await login("https://kept.example.com", soon());
    expect((await open()).url).toBe("https://kept.example.com");
  });

  it("finds the embedded stack without any login, and the token of the last command", async () => {
    await embedded("http://127.0.0.1:3080", "e.f.g");
    const session = await open();
    expect([session.url, await session.token()]).toEqual(["http://127.0.0.1:3080", "e.f.g"]);
  });

  it("goes on with the embedded stack when a login to it ended", async () => {
    await embedded("http://127.0.0.1:3080", "e.f.g");
    await login("http://127.0.0.1:3080", past());
    expect(await (await open()).token()).toBe("e.f.g");
  });

  it("says that a login ended, and does not quietly ask another hub", async () => {
    await embedded("http://127.0.0.1:3080", "e.f.g");
    await login("https://kept.example.com", past());
    const fault = await faultOf(open());
    expect(fault.code).toBe("unauthenticated");
    expect(fault.message).toMatch(/^The login of ann to https:\/\/kept.example.com ended at /);
    expect(fault.details?.["remedy"]).toContain("drover login https://kept.example.com");
  });

  it("uses a login only for the hub that it belongs to", async () => {
    await login("https://kept.example.com", soon());
    env["DROVER_URL"] = "https://other.example.com";
    expect((await faultOf(open())).message).toBe("You are not logged in to https://other.example.com.");
  });

  it("tells how to begin where there is nothing at all", async () => {
    expect(await faultOf(open())).toMatchObject({ code: "unauthenticated", message: expect.stringContaining("not logged in") });
  });

  it("keeps the login in a file that only its owner can read, below XDG_CONFIG_HOME where no folder is named", async () => {
    const file = await writeLogin({ XDG_CONFIG_HOME: folder }, { url: "https://a", username: "ann", token: "a.b.c", expiresAt: soon() });
    expect(file).toBe(join(folder, "drover", "login.json"));
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(await readFile(file, "utf8")).toContain('"token":"a.b.c"');
  });

  it("finds nobody's login for a program that names no home of a user, such as the stack itself", async () => {
    await embedded("http://127.0.0.1:3080", "e.f.g");
    const session = await openSession({ env: { DROVER_HOME: join(folder, "home") }, folder });
    expect(session.source).toBe(`embedded stack in ${join(folder, "home")}`);
  });

  it("treats a login file that is no login as none", async () => {
    await mkdir(join(folder, "config"));
    await writeFile(join(folder, "config", "login.json"), "{ half a file");
    expect((await faultOf(open())).code).toBe("unauthenticated");
  });

  it.each([
    ["hub.example.com:3080", "http://hub.example.com:3080"],
    ["https://hub.example.com/drover/", "https://hub.example.com/drover"],
  ])("reads the address %s", (given, base) => expect(baseOf(given)).toBe(base));
});
