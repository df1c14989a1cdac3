/** The API on a port, with two issuers of tokens beside it, and the command line with logins of its own. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { serveApi } from "../../api/serve.ts";
import { runDrover } from "./command-line.ts";
import { openIssuer } from "./provider.ts";
import { openWorld, rootPassword } from "./world.ts";

export async function openIdentity() {
  const world = await openWorld();
  const served = await serveApi((request) => world.app.fetch(request), { host: "127.0.0.1", port: 0 });
  const folder = await mkdtemp(join(tmpdir(), "drover-identity-"));
  const [corp, other] = await Promise.all([openIssuer(), openIssuer()]);
  const root = await world.login("root", rootPassword);
  const call = (method: string, path: string, body?: unknown, token = root) => world.call(method, `/api/v2${path}`, { body, token });
  const whoami = async (token: string) => (await call("GET", "/whoami", undefined, token)).body;
  const user = (username: string, more: object = {}) =>
    world.call("POST", "/api/v1/auth/users", {
      token: root,
      body: { username, name: username, email: `${username}@example.com`, password: "Correct-horse-8!", ...more },
    });
  await Promise.all(["jane", "ci"].map((name) => user(name)));
  /** Runs the command line with a login of its own. */
  const drover = (args: readonly string[], env: Record<string, string> = {}, onErr?: (text: string) => void) =>
    runDrover(args, { folder, env, onErr });
  const kept = async (config: string) => JSON.parse(await readFile(join(folder, config, "login.json"), "utf8"));
  const close = async () => {
    await Promise.all([served.close(0), corp.close(), other.close()]);
    await world.close();
    await rm(folder, { recursive: true, force: true });
  };
  return { world, root, corp, other, folder, at: `http://127.0.0.1:${served.port}`, call, whoami, user, drover, kept, close };
}
export type Identity = Awaited<ReturnType<typeof openIdentity>>;
