/**
 * The request by which each route is asked: about a real thing, with a body that whoever may ask gets served.
 *
 * The one idea: most paths say by themselves what they are about (`machines/{id}` is a machine); only the rest stands in the list below. A route whose
 * best caller is refused says why, so that no line of the table is a refusal for the wrong reason.
 */
import { jobId } from "../../api/operations/wire.ts";
import type { Route } from "./routes.ts";
import type { Targets } from "./targets.ts";
import type { Sent } from "./world.ts";

export interface Recipe {
  readonly body?: unknown;
  readonly query?: string;
  readonly params?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  /** Why not even a super user is served, and the status that it gets. */
  readonly refused?: readonly [status: number, why: string];
}

type Recipes = Readonly<Record<string, Recipe>>;

export function requestFor({ name, method, path }: Route, targets: Targets, recipes: Recipes): Sent {
  const { params = {}, query, body, headers } = recipes[name] ?? {};
  const segments = path.split("/");
  const filled = segments.map((segment, index) => {
    const parameter = /^\{(\w+)\}$/.exec(segment)?.[1];
    if (parameter === undefined) return segment;
    const value = params[parameter] ?? valueOf(segments, index, targets);
    if (value === undefined) throw new Error(`${name}: nothing stands for {${parameter}}; say it in tests/contract/requests.ts`);
    return encodeURIComponent(value);
  });
  const asked = { method, path: `${filled.join("/")}${query === undefined ? "" : `?${query}`}` };
  return { ...asked, ...(headers === undefined ? {} : { headers }), ...(body === undefined ? {} : { body }) };
}

/** Which machine a call needs: one that may do what its last word says. */
const stateFor: Readonly<Record<string, "running" | "suspended">> = {
  stop: "running",
  restart: "running",
  reset: "running",
  suspend: "running",
  pause: "running",
  execute: "running",
  upload: "running",
  resume: "suspended",
};

function valueOf(segments: readonly string[], index: number, targets: Targets): string | undefined {
  const before = segments[index - 1] ?? "";
  const last = segments.at(-1) ?? "";
  const fixed: Readonly<Record<string, string>> = {
    "{catalogId}": "1",
    "{catalog_id}": "1",
    "{version}": "arm64",
    machines: targets.machines[stateFor[last] ?? "stopped"],
    hosts:
      segments.includes("reverse-proxy") && segments.indexOf("hosts", segments.indexOf("reverse-proxy")) === index - 1
        ? targets.proxy.web
        : targets.hostId,
    overview: targets.hostId,
    users: targets.userId,
    claims: "SPARE_CLAIM",
    api_keys: targets.keyName,
    "api-keys": targets.keyName,
    catalog: "golden",
    cache: "golden",
    images: "golden",
    operations: targets.operations.running,
    jobs: jobId(targets.operations.running),
    stores: targets.spareStoreId,
    providers: targets.providerId,
    rules: "ci",
    projects: "default",
    webhooks: "alarm",
    deliveries: targets.deliveryId,
    "prefetch-policies": "warm",
    "maintenance-windows": "patches",
    pools: "ready",
    leases: targets.leaseId,
    "catalog-managers": targets.managerId,
    retention: "golden",
    configs: "looks",
    packer: "sheet",
    snapshots: targets.foreignId,
    http_routes: targets.proxy.route,
    "enrollment-token": "t",
    tags: "stable",
    roles: "HELPERS",
    docs: "swagger-ui.css",
    codec: "an-unguessable-path",
  };
  return fixed[before];
}
