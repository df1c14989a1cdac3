/** The wire's clients know nothing of parking: whatever they start fails instead. Every route that starts an operation is taken from the document itself. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { documentText } from "../../api/openapi.ts";
import { machines } from "../../db/schema.ts";
import { settleOperation } from "../../db/settlement.ts";
import { faultRecord } from "../../domain/operations/rules.ts";
import { addHost, addImage, addStore, gibibyte } from "../control/hub.ts";
import { openWorld, rootPassword, type World } from "./world.ts";

let world: World;
let root: string;
let hostId: string;
let owner: string;
beforeAll(async () => {
  world = await openWorld();
  root = await world.login("root", rootPassword);
  hostId = await addHost(world, { cpus: 1000, memoryBytes: 10_000 * gibibyte, diskBytes: 10_000 * gibibyte, freeBytes: 10_000 * gibibyte });
  await addImage(world, await addStore(world), "golden");
  const [user] = await world.sql`select id from users where username = 'root'`;
  owner = user?.["id"];
});
afterAll(() => world.close());

/** A machine of ours on the host, as an earlier operation left it. */
async function standing(observed: "stopped" | "running" | "paused"): Promise<string> {
  const id = crypto.randomUUID();
  const size = { vcpus: 1, memoryBytes: 1, diskBytes: 1 };
  const row = { id, name: id, owner, hostId, origin: "image", kind: "pvm", desired: "stopped", observed, ...size } as const;
  await world.hub.db.insert(machines).values(row);
  return id;
}

const manifest = (name: string) => ({ name, architecture: "arm64", catalog_manifest: { catalog_id: "golden", version: "1" } });
/** What each route is sent; `of` names the state that its machine is in. */
const bodies: Readonly<Record<string, { of?: "running" | "paused"; body?: (name: string) => object }>> = {
  "/catalog/push": { body: (name) => ({ local_path: "/machines/x.pvm", catalog_id: name, version: "1", architecture: "aarch64" }) },
  "/catalog/pull": { body: (name) => ({ catalog_id: "golden", machine_name: name }) },
  "/machines": { body: manifest },
  "/set": { body: () => ({ operations: [{ group: "state", operation: "start" }] }) },
  "/rename": { body: (name) => ({ new_name: name }) },
  "/clone": { body: (name) => ({ clone_name: name }) },
  "/execute": { of: "running", body: () => ({ command: "true" }) },
  "/snapshots": { body: () => ({ snapshot_name: "clean" }) },
  "/register": { body: (name) => ({ path: `/machines/${name}.pvm` }) },
  "/upload": { of: "running", body: () => ({ path: "/machines/x", remote_path: "/tmp/x" }) },
  "/restart": { of: "running" },
  "/stop": { of: "running" },
  "/suspend": { of: "running" },
  "/pause": { of: "running" },
  "/reset": { of: "running" },
  "/resume": { of: "paused" },
};

type Route = readonly [method: string, path: string];
const starting = /\/catalog\/(push|pull)|\/machines/;
/** Some clients change states by GET; every family has the two methods from one line. */
const readAlso = /v1\/machines\/.*\/(start|stop|restart|pause|resume|reset|suspend)$/;
const routes: Route[] = Object.entries(JSON.parse(documentText()).paths as Record<string, object>).flatMap(([path, methods]) =>
  Object.keys(methods)
    .filter(
      (method) =>
        path.startsWith("/api/v1/") &&
        !path.includes("/catalog-managers/") &&
        starting.test(path) &&
        (method !== "get" || readAlso.test(path)),
    )
    .map((method): Route => [method, path]),
);

it("takes its routes from the document", () => expect(routes.length).toBeGreaterThan(60));

it.each(routes)(
  "%s %s fails where ours would park",
  async (method, path) => {
    const ending = /(\/catalog\/p\w+|\/\w+)(\/async)?$/.exec(path)?.[1] ?? "";
    const { of = "stopped", body } = bodies[ending] ?? {};
    const id = path.includes("/machines/{") || path.includes("{vmId}") ? await standing(of) : "";
    const address = path
      .replace("hosts/{id}", `hosts/${hostId}`)
      .replace(/\{(id|vmId)\}/, id)
      .replace("{snapshot_id}", crypto.randomUUID());
    const [before] = await world.sql`select max(id::text) as last from operations`;
    const sent = body?.(`n-${crypto.randomUUID()}`);
    const answer = world.call(method.toUpperCase(), address, { token: root, ...(sent ? { body: sent } : {}) });
    const begun = async () => (await world.sql`select id, on_fault from operations where id::text > ${before?.["last"] ?? ""}`)[0];
    const seen = async () => {
      while (!(await begun())) await new Promise((resolve) => setTimeout(resolve, 20));
    };
    await Promise.race([answer, seen()]);
    const operation = await begun();
    if (!operation) throw new Error(`${path} started nothing: ${(await answer).text}`);
    expect(operation["on_fault"]).toBe("fail");
    const fault = faultRecord({ code: "store_denied", message: "The test is over." });
    await settleOperation(world.hub.db, { operationId: operation["id"], steps: [], outcome: "failed", fault });
    await answer;
  },
  180_000,
);
