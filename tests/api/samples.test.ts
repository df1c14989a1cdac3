/**
 * Answers compared with those that the Parallels DevOps service really gave: the same status, and every key that it had, with the same type.
 *
 * The one idea: values differ, shapes must not. What we leave out on purpose stands in one table with its reason.
 */
import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { addHost, addImage, addStore } from "../control/hub.ts";
import { openWorld, rootPassword, type World } from "./world.ts";

/** Keys of nested objects are written with dots; lists are compared by their first item. */
const leftOut: Readonly<Record<string, string>> = {
  "provider.meta": "tells where bytes lie",
  "diagnostics.path": "tells places in source code",
  reverse_proxy: "a later part of the contract",
  reverse_proxy_hosts: "a later part of the contract",
  cache_config: "a later part of the contract",
  cache_items: "a later part of the contract",
  "total_available.prl_home_free_size": "hosts report one disk",
  "total_available.prl_home_total_size": "hosts report one disk",
  "detailed_resources.total_available.prl_home_size": "hosts report one disk",
  "detailed_resources.total_available.prl_home_free_size": "hosts report one disk",
  virtual_machine_contents: "the files of a version stand in its tree",
  pack_contents: "the files of a version stand in its tree",
  minimum_requirements: "only where the push named them",
  description: "only where the push named one",
  last_downloaded_at: "only after a download",
  last_downloaded_user: "only after a download",
  download_count: "only after a download",
  "SONOMA-MINI.description": "only where the push named one",
  "SONOMA-MINI.provider.meta": "tells where bytes lie",
  "SONOMA-MINI.minimum_requirements": "only where the push named them",
};

let world: World;
let root: string;
beforeAll(async () => {
  world = await openWorld();
  root = await world.login("root", rootPassword);
  await addHost(world, { hypervisor: { name: "Parallels Desktop", version: "20.2.0", licence: "valid", simulated: true } });
  const storeId = await addStore(world);
  await addImage(world, storeId, "sonoma-mini", { version: "1.1" });
});
afterAll(() => world.close());

interface Case {
  readonly sample: string;
  readonly path?: string;
  readonly body?: unknown;
  /** Where ours differs on purpose. */
  readonly status?: number;
}
const version = "/api/v1/catalog/sonoma-mini/1.1/arm64";
const cases: Case[] = [
  { sample: "auth-token-01-login-ok-email", body: { email: "root@localhost", password: rootPassword } },
  { sample: "auth-token-04-login-wrong-password", status: 401 },
  {
    sample: "auth-users-02-create",
    body: { username: "jdoe", name: "Jane Doe", email: "jane.doe@example.com", password: "Correct-horse-8!" },
  },
  { sample: "auth-api-keys-02-create", body: { name: "ci", key: "ci key", secret: "s3cret" } },
  { sample: "catalog-16-list" },
  { sample: "catalog-25-taint", path: `${version}/taint` },
  { sample: "catalog-30-roles-add", path: `${version}/roles` },
  { sample: "machines-05-get-not-found" },
  { sample: "orchestrator-hosts-09-list" },
  { sample: "orchestrator-hosts-15-overview" },
  { sample: "config-01-hardware" },
  { sample: "config-03-license" },
  { sample: "reverse-proxy-05-create-http" },
  { sample: "reverse-proxy-07-create-duplicate" },
  { sample: "reverse-proxy-14-get-not-found" },
  { sample: "reverse-proxy-27-config-disabled" },
];

it.each(cases)("answers as in $sample", async ({ sample, path, body, status }) => {
  const { request, response } = await read(sample);
  const answer = await world.call(request.method, path ?? request.path, { token: root, body: body ?? request.body ?? undefined });
  expect(answer.status, answer.text).toBe(status ?? response.status);
  expect(missing(response.body, answer.body)).toEqual([]);
});

it("answers jobs with every key, before and after their end", async () => {
  const { response: begun } = await read("create-from-catalog-09-create-async");
  const { response: ended } = await read("jobs-06-get-completed");
  await world.call("PATCH", `${version}/untaint`, { token: root });
  const body = { name: "made", catalog_manifest: { catalog_id: "sonoma-mini", version: "1.1" } };
  const { status, body: job } = await world.call("POST", "/api/v1/machines/async", { token: root, body });
  expect(status).toBe(begun.status);
  expect(missing(begun.body, job)).toEqual([]);
  await world.settle("provision", { steps: [{ name: "place", position: 0, state: "done" }] });
  expect(missing(ended.body, (await world.call("GET", `/api/v1/jobs/${job.id}`, { token: root })).body)).toEqual([]);
});

interface Sample {
  readonly request: { readonly method: string; readonly path: string; readonly body: unknown };
  readonly response: { readonly status: number; readonly body: unknown };
}

async function read(name: string): Promise<Sample> {
  return JSON.parse(await readFile(new URL(`./samples/${name}.json`, import.meta.url), "utf8"));
}

/** Paths of keys that are absent or of another type. */
function missing(theirs: unknown, ours: unknown, path = ""): string[] {
  if (path in leftOut) return [];
  if (Array.isArray(theirs)) return theirs.length > 0 && Array.isArray(ours) ? missing(theirs[0], ours[0], path) : [];
  if (typeof theirs !== "object" || theirs === null) return typeof theirs === typeof ours ? [] : [path];
  if (typeof ours !== "object" || ours === null) return [path];
  const own = new Map(Object.entries(ours));
  return Object.entries(theirs).flatMap(([key, value]) => missing(value, own.get(key), path === "" ? key : `${path}.${key}`));
}
