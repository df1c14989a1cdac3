/**
 * What requests need beyond their path.
 *
 * The one idea: the body of each is the smallest that is served; what a route takes beside it is its own tests' subject.
 */
import type { Recipe } from "./requests.ts";
import type { Targets } from "./targets.ts";

export function recipesFor(targets: Targets): Readonly<Record<string, Recipe>> {
  return {
    ...accessRecipes(targets),
    ...machineRecipes(targets),
    ...catalogRecipes(targets),
    ...storeRecipes(targets),
    ...hostRecipes,
    ...operationRecipes(targets),
    ...proxyRecipes(targets),
    ...ownPages,
  };
}

const named = (name: string) => ({ body: { name } });

const accessRecipes = ({ userId, keyName }: Targets): Record<string, Recipe> => ({
  "POST /api/v1/auth/api_keys": { body: { name: "made", key: "made", secret: "a-secret-of-mine" } },
  "POST /api/v1/auth/claims": named("MADE"),
  "POST /api/v1/auth/roles": named("MADE"),
  "DELETE /api/v1/auth/roles/{id}": { params: { id: "HELPERS" } },
  "POST /api/v1/auth/roles/{id}/claims": named("LIST_CACHE"),
  "DELETE /api/v1/auth/roles/{id}/claims/{name}": { params: { name: "LIST_VM" } },
  "POST /api/v1/auth/token": { body: { email: "nobody", password: "wrong" }, refused: [401, "nobody has that name"] },
  "POST /api/v1/auth/token/validate": { body: { token: "a.b.c" }, refused: [400, "it is no token"] },
  "POST /api/v1/auth/users": {
    body: { username: "made", name: "Made", email: "made@example.com", roles: ["HELPERS"], claims: ["LIST_VM"] },
  },
  "PUT /api/v1/auth/users/{id}": { body: { name: "Renamed" } },
  "POST /api/v1/auth/users/{id}/claims": named("LIST_CACHE"),
  "DELETE /api/v1/auth/users/{id}/claims/{name}": { params: { id: userId, name: "LIST_VM" } },
  "POST /api/v1/auth/users/{id}/roles": named("USER"),
  "DELETE /api/v1/auth/users/{id}/roles/{name}": { params: { id: userId, name: "HELPERS" } },
  "POST /api/v1/user/configs": { body: { slug: "made", name: "Made", value: "1" } },
  "GET /api/v1/user/configs/{id}": { refused: [404, "everybody has their own"] },
  "DELETE /api/v1/user/configs/{id}": { refused: [404, "everybody has their own"] },
  "PUT /api/v1/user/configs/{id}": { body: { name: "Changed", value: "1" } },
  "POST /api/v2/api-keys": { body: { name: "made" } },
  "DELETE /api/v2/api-keys/{idOrName}": { params: { idOrName: keyName } },
  "POST /api/v2/login": { body: { username: "nobody", password: "wrong" }, refused: [401, "nobody has that name"] },
  "POST /api/v2/login/renew": { refused: [401, "the token of this caller is of no login"] },
  "POST /api/v2/login/provider": { body: { provider: "sso", idToken: "a.b.c" }, refused: [503, "the provider does not answer"] },
  "POST /api/v2/login/workload": { body: { token: "a.b.c" }, refused: [401, "no platform signed that token"] },
  "POST /api/v2/identity/providers": {
    body: { name: "made", issuer: "http://127.0.0.1:1/made", clientId: "drover" },
    refused: [503, "nobody answers for that issuer"],
  },
  "PATCH /api/v2/identity/providers/{idOrName}": { body: { clientId: "other" } },
  "POST /api/v2/identity/providers/{idOrName}/test": { refused: [503, "nobody answers for that issuer"] },
  "POST /api/v2/identity/rules": {
    body: { name: "made", issuer: "http://127.0.0.1:1", audience: "drover", conditions: { repository: "acme/other" }, user: "subject" },
  },
  "POST /api/v2/identity/rules/test": { body: { token: "a.b.c" } },
  "POST /api/v2/projects": { body: { id: "made" } },
  "PUT /api/v2/projects/{project}/quota": { body: { machines: 10 } },
  "POST /api/v2/webhooks": { body: { name: "made", url: "https://hooks.example.com/y" } },
  "PATCH /api/v2/webhooks/{idOrName}": { body: { enabled: false } },
  "POST /api/v2/import/devops": { body: {}, refused: [400, "no database was sent"] },
});

const manifest = { catalog_id: "golden", version: "1" };

function machineRecipes({ machines, hostId, foreignId }: Targets): Record<string, Recipe> {
  const families = [
    ["/api/v1/machines", "id"],
    ["/api/v1/orchestrator/machines", "id"],
    ["/api/v1/orchestrator/hosts/{id}/machines", "vmId"],
  ] as const;
  const ofFamily = ([base, param]: (typeof families)[number]): Record<string, Recipe> => {
    const create = { body: { name: "made", architecture: "arm64", catalog_manifest: manifest } };
    const one = `${base}/{${param}}`;
    return {
      [`POST ${base}`]: create,
      [`POST ${base}/async`]: create,
      [`POST ${base}/register`]: { body: { path: "/machines/found.pvm", machine_name: "found" } },
      [`PUT ${one}/clone`]: { body: { clone_name: "copy" } },
      [`PUT ${one}/execute`]: { body: { command: "true" } },
      [`PUT ${one}/rename`]: { body: { new_name: "renamed" } },
      [`PUT ${one}/set`]: { body: { operations: [{ group: "machine", operation: "rename", value: "renamed" }] } },
      [`POST ${one}/upload`]: { body: { path: "/machines/file", remote_path: "/tmp/file" } },
    };
  };
  return {
    ...Object.assign({}, ...families.map(ofFamily)),
    "POST /api/v2/pools": { body: { name: "made", image: { catalogId: "golden" } } },
    "PATCH /api/v2/pools/{name}": { body: { minimumIdle: 2 } },
    "POST /api/v2/pools/{name}/lease": { body: {}, refused: [429, "none of its machines waits"] },
    "POST /api/v2/machines": { body: { name: "made", image: { catalogId: "golden" } } },
    "PATCH /api/v2/machines/{idOrName}": { body: { description: "changed" } },
    "POST /api/v2/machines/{idOrName}/actions": { body: { verb: "start" } },
    "POST /api/v2/machines/{idOrName}/archive": { refused: [502, "its bytes are in no store"] },
    "POST /api/v2/machines/{id}/adopt": { params: { id: foreignId }, body: { hostId } },
    "DELETE /api/v2/machines/{idOrName}": { params: { idOrName: machines.stopped } },
  };
}

const pushed = { local_path: "/machines/own.pvm", catalog_id: "made", version: "1", architecture: "arm64" };
function catalogRecipes(targets: Targets): Record<string, Recipe> {
  const here = ownCatalogRecipes(targets);
  const behind = Object.entries(here).flatMap(([name, recipe]) => {
    const [method = "", path = ""] = name.split(" ");
    return /^\/api\/v1\/catalog(\/|$)/.test(path)
      ? [[`${method} ${path.replace("/catalog", "/catalog-managers/{id}/catalog")}`, recipe]]
      : [];
  });
  // Both sides reach the store that a push through a manager writes to.
  const push = { ...pushed, connection: `provider=local-storage;catalog_path=${targets.folder}/main` };
  const manager = { name: "made", url: "http://127.0.0.1:1", api_key: "a-secret-key" };
  return {
    ...here,
    ...Object.fromEntries(behind),
    "POST /api/v1/catalog-managers/{id}/catalog/push": { body: push },
    "POST /api/v1/catalog-managers/{id}/catalog/push/async": { body: push },
    "POST /api/v1/catalog-managers": { body: manager },
    "PUT /api/v1/catalog-managers/{id}": { body: manager },
    "POST /api/v2/catalog-managers": { body: { name: "made", url: "http://127.0.0.1:1", credentials: { apiKey: "a-secret-key" } } },
    "PATCH /api/v2/catalog-managers/{id}": { body: { name: "renamed" } },
    "POST /api/v2/catalog-managers/{id}/machines": { body: { name: "made", image: { catalogId: "golden", version: "1" } } },
    "POST /api/v2/catalog-managers/{id}/images": {
      body: { path: "/machines/own.pvm", catalogId: "made", version: "1", hostId: targets.hostId, connection: push.connection },
    },
    "GET /api/v2/archives/artifactory/{image}/{catalogId}/{file}": {
      params: { image: targets.imageId, catalogId: "golden", file: "golden-arm64-1.pdpack" },
      refused: [401, "only the archive's own token opens it"],
    },
    "GET /api/v2/images/{catalogId}/{version}/{architecture}/archive": { refused: [502, "its bytes are in no store"] },
  };
}

function ownCatalogRecipes({ hostId, folder }: Targets): Record<string, Recipe> {
  const pull = { catalog_id: "golden", version: "1", machine_name: "made" };
  const words = { required_roles: ["USER"], required_claims: ["LIST_VM"], tags: ["stable"] };
  const version = "/api/v1/catalog/{catalogId}/{version}/{architecture}";
  const connection = `provider=local-storage;catalog_path=${folder}/main`;
  return {
    "POST /api/v1/catalog": {
      body: { catalog_id: "made", architecture: "arm64", provider: { type: "local-storage", meta: { catalog_path: `${folder}/main` } } },
    },
    "PUT /api/v1/catalog/import": { body: { catalog_id: "made", version: "1", architecture: "arm64", connection } },
    "PUT /api/v1/catalog/import-vm": {
      body: { catalog_id: "made", version: "1", architecture: "arm64", connection, machine_remote_path: "made.pvm", size: 1 },
    },
    "PUT /api/v1/catalog/pull": { body: pull },
    "PUT /api/v1/catalog/pull/async": { body: pull },
    "POST /api/v1/catalog/push": { body: pushed },
    "POST /api/v1/catalog/push/async": { body: pushed },
    ...Object.fromEntries(
      ["claims", "roles", "tags"].flatMap((list) => ["PATCH", "DELETE"].map((method) => [`${method} ${version}/${list}`, { body: words }])),
    ),
    [`PATCH ${version}/connection`]: { body: { connection } },
    [`PUT ${version}/metadata`]: { body: { description: "changed" } },
    "POST /api/v2/images": { body: { path: "/machines/own.pvm", catalogId: "made", version: "1", hostId } },
    "PATCH /api/v2/images/{catalogId}/{version}/{architecture}": { body: { description: "changed" } },
    "POST /api/v2/images/{catalogId}/{version}/{architecture}/{mark}": { params: { mark: "taint" } },
    "POST /api/v2/prefetches": { body: { image: { catalogId: "golden" }, all: true } },
    "POST /api/v2/prefetch-policies": { body: { name: "made", image: { catalogId: "golden" }, all: true, on: "publish" } },
    "PUT /api/v2/retention/{catalogId}": { body: { keepNewest: 2 } },
    "POST /api/v2/retention/runs": { body: {} },
    "POST /api/v1/templates/packer": { body: { id: "made", name: "Made" } },
    "PUT /api/v1/templates/packer/{id}": { body: { name: "Changed" } },
  };
}

function storeRecipes({ storeId, folder }: Targets): Record<string, Recipe> {
  return {
    "POST /api/v2/images/import": { body: { storeId, catalogId: "made", version: "1", architecture: "arm64" } },
    "POST /api/v2/images/{catalogId}/{version}/{architecture}/export": { body: { storeId } },
    "POST /api/v2/stores": { body: { name: "made", location: `folder:${folder}/made` } },
    "PATCH /api/v2/stores/{id}": { body: { name: "renamed" } },
    "POST /api/v2/stores/{id}/checks": { body: {} },
    "POST /api/v2/stores/{id}/collections": { body: {} },
    "POST /api/v2/stores/{id}/scrubs": { body: {} },
  };
}

const golden = { body: { catalogId: "golden" } };
const hostRecipes: Record<string, Recipe> = {
  "POST /api/v2/hosts/tokens": { body: { hostName: "mac-new" } },
  "PATCH /api/v2/hosts/{idOrName}": { body: { enabled: true } },
  "POST /api/v2/maintenance-windows": { body: { name: "made", labels: ["studio"], startsAt: "02:30", minutes: 60, zone: "UTC" } },
  "POST /api/v2/hosts/{idOrName}/cordon": {},
  "POST /api/v2/hosts/{idOrName}/uncordon": {},
  "POST /api/v2/hosts/{idOrName}/drain": { body: {} },
  "DELETE /api/v2/hosts/{idOrName}": { refused: [409, "machines live on it"] },
  "DELETE /api/v1/orchestrator/hosts/{id}": { refused: [409, "machines live on it"] },
  "POST /api/v2/hosts/{idOrName}/cache/pin": golden,
  "POST /api/v2/hosts/{idOrName}/cache/unpin": golden,
  "POST /api/v2/hosts/{idOrName}/cache/prune": { body: {} },
  "POST /api/v2/hosts/{id}/images": golden,
  "PUT /api/v1/orchestrator/hosts/{id}": { body: { tags: ["fast"] } },
  "POST /api/v1/orchestrator/hosts": { refused: [400, "hosts enrol themselves"] },
  "POST /api/v1/orchestrator/hosts/deploy": { body: {}, refused: [400, "no computer is named"] },
  "POST /api/v1/orchestrator/hosts/deploy/async": { body: {}, refused: [400, "no computer is named"] },
  "POST /api/v1/orchestrator/enrollment-token": { body: { host_name: "mac-new" } },
  "GET /api/v1/orchestrator/hosts/{id}/logs": { refused: [400, "hosts keep their logs"] },
  "GET /api/v1/orchestrator/hosts/{id}/logs/stream": { refused: [400, "hosts keep their logs"] },
  "POST /api/v1/config/diskspace": { body: { folder_path: "/machines" } },
  "POST /api/v1/config/tools/install": { body: { all: true } },
  "POST /api/v1/config/tools/uninstall": { body: { all: true } },
  "POST /api/v1/config/tools/restart": { refused: [400, "the API restarts nothing"] },
  "POST /api/v1/ssh/execute": { body: {}, refused: [400, "the hub opens no SSH connections"] },
};

const operationRecipes = ({ operations }: Targets): Record<string, Recipe> => ({
  "GET /api/v2/operations/{id}/events": { params: { id: operations.done } },
  "GET /api/v2/operations/{id}/screen": { params: { id: operations.captured } },
  "GET /api/v2/operations/{id}/wait": { params: { id: operations.done } },
  "POST /api/v2/operations/{id}/transfer-token": { refused: [404, "only whoever asked for the push gets it"] },
  "GET /api/v2/operations/{id}/transfer": { refused: [401, "only the transfer's own token opens it"] },
  ...Object.fromEntries(
    ["retry", "skip", "abort"].map((word) => [
      `POST /api/v2/operations/{id}/${word}`,
      { params: { id: operations.parked }, refused: [409, "no workflow waits for the word"] as const },
    ]),
  ),
  "GET /api/v1/ws/subscribe": { refused: [400, "the client speaks no WebSocket"] },
  "POST /api/v1/ws/unsubscribe": { body: { client_id: "none", event_types: ["pdfm"] }, refused: [404, "nobody follows events"] },
});

const target = { target_host: "10.0.0.1", target_port: "82" };
function proxyRecipes({ proxy }: Targets): Record<string, Recipe> {
  const families = [
    ["/api/v1/reverse-proxy", "id"],
    ["/api/v1/orchestrator/hosts/{id}/reverse-proxy", "reverse_proxy_host_id"],
  ] as const;
  const http = { body: { path: "/more", ...target } };
  const ofFamily = ([base, param]: (typeof families)[number]): Record<string, Recipe> => ({
    [`POST ${base}/hosts`]: { body: { host: "made.example.com", port: "80", http_routes: [{ path: "/", ...target }] } },
    [`PUT ${base}/hosts/{${param}}`]: { body: { name: "Renamed", host: "web.example.com", port: "80" } },
    [`POST ${base}/hosts/{${param}}/http_route`]: http,
    [`POST ${base}/hosts/{${param}}/http_routes`]: http,
    [`PUT ${base}/hosts/{${param}}/http_routes/order`]: { body: { id: proxy.route, order: 1 } },
    [`POST ${base}/hosts/{${param}}/tcp_route`]: { params: { [param]: proxy.tcp }, body: target },
  });
  return Object.assign({}, ...families.map(ofFamily));
}

const ownPages: Record<string, Recipe> = {
  "POST /codec/session": { refused: [403, "only its own page sends it"] },
  "POST /codec/session/end": { refused: [403, "only its own page sends it"] },
  "POST /codec/{secret}/encode": { params: { secret: "guessed" }, body: { payloads: [] } },
  "POST /codec/{secret}/decode": { params: { secret: "guessed" }, body: { payloads: [] } },
};
