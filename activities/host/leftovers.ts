/**
 * Removes what operations left on this host's disk that ended behind its back: terminated by hand, or given up while the host was away. And lets go what they used
 * of its cache.
 *
 * The one idea: level-triggered. The host says what lies here, the hub says what of it nobody wants any more, so nothing hangs on a message that was lost.
 */
import { readdir, rm } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { reportIntervalMs } from "../../domain/hosts/rules.ts";
import { LeftoversAnswer, type Leftovers } from "../../domain/hosts/schema.ts";
import { Uuid } from "../../domain/ids.ts";
import { journalOf } from "./bundles.ts";
import type { HostContext } from "./context.ts";
import type { Fetching } from "./fetch.ts";
import { fenced, thisMoment } from "./guard.ts";
import { jsonOf } from "./hub-link-http.ts";

export interface LeftoverOptions {
  readonly fetching: Fetching;
  readonly onError: (error: unknown) => void;
}

/** Looks as often as the host reports; where nothing lies, nobody is asked. */
export async function leftoverLoop({ fetching, onError }: LeftoverOptions, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await removeLeftovers(fetching, signal).catch(onError);
    await delay(reportIntervalMs, undefined, { signal }).catch(() => {});
  }
}

/** What the hub takes in one question; those that ended make room for the others. */
const askedAtOnce = 1000;

async function removeLeftovers(fetching: Fetching, signal: AbortSignal): Promise<void> {
  const { context, arrivals } = fetching;
  const pushes = await journalsIn(context.journalFolder);
  const digests = await context.cache.fetching();
  const users = context.pins.keptFor();
  if (pushes.length + digests.length + users.length === 0) return;
  const pulls = digests.flatMap((digest) => arrivals.wantedBy(digest).map((operationId) => ({ digest, operationId })));
  const operations = [...new Set([...pushes, ...pulls.map(({ operationId }) => operationId), ...users])].slice(0, askedAtOnce);
  const asked = thisMoment();
  const { ended, unwanted } = await ask(context, { operations, digests }, signal);
  for (const operationId of pushes.filter((id) => ended.includes(id)))
    await rm(journalOf(context.journalFolder, operationId), { force: true });
  for (const operationId of users.filter((id) => ended.includes(id))) await context.pins.release(operationId);
  for (const { digest, operationId } of pulls) if (ended.includes(operationId)) arrivals.leave(digest, operationId);
  const renew = () => Promise.reject(fenced("What the hub wants no more is asked for anew."));
  for (const digest of unwanted) await context.guard.by({ heard: asked, renew }, () => discardUnwanted(fetching, digest, signal));
}

/** Asked again right before: an operation that wants the image says so before it touches the disk. */
function discardUnwanted({ context, transfers, arrivals }: Fetching, digest: string, signal: AbortSignal): Promise<void> {
  return context.images.run(digest, signal, async () => {
    if (arrivals.wantedBy(digest).length === 0 && !transfers.isRunning(digest)) await context.cache.discard(digest);
  });
}

const journalForm = /^push-(.+)$/;

async function journalsIn(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  return names.map((name) => journalForm.exec(name)?.[1] ?? "").filter((id) => Uuid.safeParse(id).success);
}

async function ask({ link }: HostContext, asked: Leftovers, signal: AbortSignal): Promise<LeftoversAnswer> {
  const body = Buffer.from(JSON.stringify(asked));
  const headers = { "content-type": "application/json" };
  return LeftoversAnswer.parse(
    await jsonOf(await link.send({ method: "POST", path: "/host/v1/leftovers", body, headers, signal, authorised: true })),
  );
}
