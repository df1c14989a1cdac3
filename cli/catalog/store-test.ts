/**
 * `drover store test`: every right that transfers need of a store, one line each, as soon as it was tried.
 *
 * The one idea: the exit code is the worst of the lines, so a script may trust it.
 */
import { rightMeanings, StoreTrial } from "../../domain/catalog/store-trial.ts";
import { FaultError } from "../../domain/errors.ts";
import { pathOf } from "../client.ts";
import type { Context } from "../context.ts";
import { exitCodes } from "../exit-codes.ts";

/** Ten rights of a slow store that is asked again a few times each. */
const limitMs = 5 * 60_000;

const marks = { passed: "ok", failed: "FAILED", skipped: "skipped" } as const;
/** The first line tells whether anything is ever written to the store; what a host cannot do by a signed request, the hub does. */
function markOf({ state }: StoreTrial, [first]: readonly StoreTrial[]): string {
  if (state !== "unneeded") return marks[state];
  return first?.state === "unneeded" ? "not needed" : "by the hub";
}

export async function testStore(context: Context, [nameOrId = ""]: readonly string[]): Promise<number> {
  const { streams, json } = context;
  const client = await context.hub();
  const path = pathOf("stores", nameOrId, "test");
  const response = await client.raw(path, { accept: "text/jsonl" }, AbortSignal.timeout(limitMs), "POST");
  const found: StoreTrial[] = [];
  for await (const trial of trialsIn(response)) {
    found.push(trial);
    if (!json) streams.out.write(`${markOf(trial, found).padEnd(10)}  ${rightMeanings[trial.right].padEnd(43)}  ${trial.message}\n`);
  }
  const failed = found.filter(({ state }) => state === "failed");
  if (json) context.show({ store: nameOrId, passed: failed.length === 0, rights: found }, () => "");
  else if (failed.length > 0)
    context.remark(`${failed.length} of ${found.length} rights are missing: docs/stores.md tells what each provider must allow.`);
  return failed.length === 0 ? exitCodes.done.code : exitCodes.failed.code;
}

/** A line that is not whole means that the hub broke off: what was tried until then is no answer. */
async function* trialsIn({ body }: Response): AsyncIterable<StoreTrial> {
  let rest = "";
  const decoder = new TextDecoder();
  for await (const part of body ?? []) {
    rest += decoder.decode(part as Uint8Array, { stream: true });
    const lines = rest.split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) yield StoreTrial.parse(JSON.parse(line));
  }
  if (rest !== "") throw new FaultError({ code: "hub_unavailable", message: "The hub broke off in the middle of the test." });
}
