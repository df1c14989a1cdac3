/**
 * Requests that the Parallels DevOps service was asked, asked here: the same status, and every key that it told, with its type.
 *
 * The one idea: where ours differs it is said in one table with the reason; a sample that is neither like ours nor in the table fails, and so does a line
 * of the table that is not needed.
 */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, it } from "vitest";
import { differencesFrom, type Recorded } from "../api/clients/shapes.ts";
import type { CallerName } from "./callers.ts";
import { jobId } from "../../api/operations/wire.ts";
import { better } from "./better.ts";
import { openContract, type Contract } from "./world.ts";

interface Sample extends Recorded {
  readonly caller: CallerName;
  readonly method: string;
  /** `{machine}` and the like stand for what the request was about. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}
const samples: Readonly<Record<string, Sample>> = JSON.parse(readFileSync(new URL("recorded.json", import.meta.url), "utf8"));

let contract: Contract;
beforeAll(async () => {
  contract = await openContract();
}, 180_000);
afterAll(() => contract?.close());

function filled<T>(value: T): T {
  const { folder, userId, keyName, hostId, machines, operations, proxy } = contract.targets;
  const things = {
    folder,
    user: userId,
    key: keyName,
    host: hostId,
    job: jobId(operations.running),
    failed: jobId(operations.failed),
    ...machines,
    ...proxy,
  };
  const text = Object.entries(things).reduce((all, [name, id]) => all.replaceAll(`{${name}}`, id), JSON.stringify(value));
  return JSON.parse(text);
}

it.each(Object.entries(samples))("answers as in %s", async (name, sample) => {
  const { caller, method, path, headers = {}, body } = sample;
  const sent = { method, path: filled(path), headers: filled(headers), ...(body === undefined ? {} : { body: filled(body) }) };
  const { status, text, type } = await contract.ask(caller, sent);
  const told: unknown = text !== "" && type.includes("json") ? JSON.parse(text) : text;
  const known = better[name];
  if (!known) return expect(differencesFrom(sample, { status, body: told }), text.slice(0, 500)).toEqual([]);
  const all = differencesFrom(sample, { status, body: told });
  expect(all.length, `${name} does not differ: its line in tests/contract/better.ts can go`).toBeGreaterThan(0);
  if (known.status !== undefined) return expect(status, text.slice(0, 500)).toBe(known.status);
  expect(differencesFrom(sample, { status, body: told }, known.keys), text.slice(0, 500)).toEqual([]);
});
