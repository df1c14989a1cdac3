/**
 * Where our answer to a recorded request differs on purpose: in its status, or in keys that it leaves out, and why.
 *
 * The one idea: `docs/compatibility.md` says the same to users; this table keeps it true.
 */
export interface Difference {
  /** Ours, where it is another one. */
  readonly status?: number;
  /** Keys that are absent, or of another type, in an answer of the same status. */
  readonly keys?: readonly string[];
  readonly why: string;
}

const power = [
  "13-start",
  "14-get-start",
  "19-suspend",
  "20-resume",
  "21-pause",
  "22-restart",
  "23-reset",
  "24-stop",
  "25-host-stop-force",
];
const machine = ["Guest Shared Folders", "GuestTools.version", "Hardware.cdrom0.state", "Host Shared Folders.enabled"];
const told = { why: "Parallels Desktop tells it of machines that have it" };
const neverPulled = ["download_count", "last_downloaded_at", "last_downloaded_user", "untainted_by"];
const served = { status: 200, why: "double and trailing slashes are served: a redirect turns a POST into a GET" };
const enrols = { status: 400, why: "hosts enrol themselves" };

export const better: Readonly<Record<string, Difference>> = {
  "auth-api-keys/03-create-duplicate": { status: 400, why: "a name that is taken is no fault of the server" },
  "auth-api-keys/16-list-as-plain-user": { status: 200, why: "either claim is enough, so users reach their own keys" },
  "auth-roles/08-claims-list": { keys: ["[].users"], why: "who holds a claim is told of one claim" },
  "auth-token/05-login-unknown-user": { status: 401, why: "nobody is told whether a user exists" },
  "cache/04-delete-not-found": { status: 202, why: "what is gone already is no mistake" },
  "catalog/51-revoke": { keys: neverPulled, why: "told once it happened" },
  "catalog/53-get-revoked": { keys: [...neverPulled, "revoked", "revoked_at", "revoked_by"], why: "told once it happened" },
  "config/08-logs-disabled": { status: 200, why: "the hub's log is always there for super users" },
  "events/02-stats": { keys: ["type_stats.global", "type_stats.health", "type_stats.system"], why: "nobody follows events here" },
  "events/06-subscribe-plain-get": { keys: [""], why: "JSON, as all refusals" },
  "machines/06-filter-name": { keys: machine.map((key) => `[].${key}`), ...told },
  "machines/08-filter-nested": { status: 200, why: "nested fields can be filtered by" },
  "orchestrator-hosts/03-delete": { status: 409, why: "not while machines live on the host" },
  "orchestrator-hosts/07-create-no-authentication": enrols,
  "orchestrator-hosts/08-create-unreachable": enrols,
  "orchestrator-hosts/25-cache-vscode-path": { status: 200, why: "the path that the editor asks for is served" },
  "orchestrator-hosts/26-reverse-proxy": { keys: ["host", "port"], why: "no traffic is carried yet" },
  "orchestrator-machines/08-host-list": { keys: machine.map((key) => `[].${key}`), ...told },
  "pull/01-pull-local-by-catalog-id": { status: 200, why: "a pull without a connection means this catalog" },
  "pull/09-pull-bad-host": { status: 200, why: "there is one catalog here: whatever host is named is this one" },
  "pull/10-pull-post-method": { status: 405, why: "a path that exists with another method says so" },
  "pull/13-pull-async-unknown": { status: 400, why: "what cannot be pulled is refused at once" },
  "reverse-proxy/01-config": { keys: ["host", "port"], why: "no traffic is carried yet" },
  "reverse-proxy/04-config-enabled": { keys: ["host", "port"], why: "no traffic is carried yet" },
  "reverse-proxy/06-create-tcp": { keys: ["tcp_route.target_vm_details.guest_tools_version"], ...told },
  "reverse-proxy/11-create-bad-pattern": { status: 400, why: "a pattern that is none is refused" },
  "reverse-proxy/15-update": { keys: ["cors"], why: "told where it was set" },
  "reverse-proxy/17-route-upsert": { keys: ["cors", "name"], why: "told where it was set" },
  "reverse-proxy/18-route-update": { keys: ["cors", "name"], why: "told where it was set" },
  "routing/04-wrong-method": { keys: [""], why: "JSON, as all refusals" },
  "routing/05-wrong-method-get-start": { status: 200, why: "GET serves power calls too, which some clients use" },
  "routing/06-double-slash-get": served,
  "routing/07-double-slash-post": { ...served, status: 400 },
  "routing/08-double-slash-put": { ...served, status: 400 },
  "routing/09-trailing-slash-get": served,
  "routing/14-version": { status: 200, why: "clients ask for the version" },
  "snapshots/05-create-malformed": { status: 400, why: "what is no JSON is refused" },
  ...Object.fromEntries(
    power.map((name) => [`orchestrator-machines/${name}`, { status: 200, why: "the orchestrator's power calls work" }]),
  ),
  ...Object.fromEntries(
    ["machines/02-get-by-id", "machines/03-get-by-name", "machines/04-get-upper-case-id", "machines/19-get-running"]
      .concat(["orchestrator-machines/05-get", "orchestrator-machines/06-get-by-name", "orchestrator-machines/28-rename"])
      .map((name) => [name, { keys: machine, ...told }]),
  ),
};
