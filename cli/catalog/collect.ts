/** `drover store gc|check|scrub`: the care for a store, followed to its end. */
import { z } from "zod";
import { Finding } from "../../domain/catalog/care.ts";
import { FaultError } from "../../domain/errors.ts";
import { pathOf, type Client } from "../client.ts";
import type { Context } from "../context.ts";
import { exitCodes } from "../exit-codes.ts";
import { took } from "../operations/await.ts";
import { seeThrough, waitingOf } from "../operations/start.ts";
import { bytes, rate } from "../output/format.ts";
import { given } from "../values.ts";
import { Operation, Store, type OperationDetail } from "../wire.ts";

const Collecting = z.object({ dryRun: z.boolean().default(false) });

export async function collectStore(context: Context, [store]: readonly string[], raw: unknown): Promise<number> {
  const { dryRun } = given(Collecting, raw);
  const { client, path } = await careAt(context, store);
  const waiting = waitingOf(raw);
  const operation = await client.send("POST", `${path}/collections`, Operation, { body: { dryRun, onFault: waiting.onFault } });
  return seeThrough(context, client, { operation, waiting, words: collected, value: ({ result }) => result });
}

/** `5%`, `0.05`, or nothing for all. */
const share = z
  .union([z.literal(true).transform(() => "100%"), z.string()])
  .transform((text) => (text.endsWith("%") ? Number(text.slice(0, -1)) / 100 : Number(text)))
  .refine((part) => part > 0 && part <= 1, "must be a share such as 5% or 100%");
const Checking = z.object({ readData: share.optional() });

export async function checkStore(context: Context, [store]: readonly string[], raw: unknown): Promise<number> {
  const { readData = 0 } = given(Checking, raw);
  const { client, path } = await careAt(context, store);
  const waiting = waitingOf(raw);
  const operation = await client.send("POST", `${path}/checks`, Operation, { body: { readData, onFault: waiting.onFault } });
  return looked(context, client, operation, waiting, checked);
}

const Scrubbing = z.object({ share: share.optional() });

export async function scrubStore(context: Context, [store]: readonly string[], raw: unknown): Promise<number> {
  const wanted = given(Scrubbing, raw);
  const { client, path } = await careAt(context, store);
  const waiting = waitingOf(raw);
  const operation = await client.send("POST", `${path}/scrubs`, Operation, { body: { ...wanted, onFault: waiting.onFault } });
  return looked(context, client, operation, waiting, scrubbed);
}

/** A look that found something has done its work, and says by its exit code what it found. */
async function looked(
  context: Context,
  client: Client,
  operation: z.infer<typeof Operation>,
  waiting: ReturnType<typeof waitingOf>,
  words: (detail: OperationDetail) => string,
): Promise<number> {
  let found = 0;
  const value = ({ result }: OperationDetail) => {
    found = Looked.parse(result ?? {}).found;
    return result;
  };
  const code = await seeThrough(context, client, { operation, waiting, words, value });
  return code === exitCodes.done.code && found > 0 ? exitCodes.failed.code : code;
}

async function careAt(context: Context, nameOrId: string | undefined): Promise<{ client: Client; path: string }> {
  const client = await context.hub();
  if (nameOrId !== undefined) return { client, path: pathOf("stores", nameOrId) };
  const standard = (await client.list("/stores", Store)).find(({ isDefault }) => isDefault);
  if (standard) return { client, path: pathOf("stores", standard.id) };
  throw new FaultError({ code: "store_not_found", message: "No default store is configured." });
}

const count = z.number().default(0);
const Collected = z.object({
  dryRun: z.boolean().default(false),
  deadObjects: count,
  deadBytes: count,
  mostlyDeadPacks: count,
  repackFreesBytes: count,
  freedBytes: count,
  repackedPacks: count,
  repackedTrees: count,
  condemnedObjects: count,
  condemnedBytes: count,
  removedObjects: count,
  removedBytes: count,
  waitingObjects: count,
  waitingBytes: count,
});

function collected(detail: OperationDetail): string {
  const told = Collected.parse(detail.result ?? {});
  if (told.dryRun)
    return [
      `A collection would free ${bytes(told.freedBytes)}:`,
      `  ${told.deadObjects} objects that nothing needs, ${bytes(told.deadBytes)}`,
      `  ${told.mostlyDeadPacks} packs that are mostly dead and would be rewritten, ${bytes(told.repackFreesBytes)}`,
      "Nothing was changed. Objects go once their grace is over.",
    ].join("\n");
  return [
    `Collected ${detail.subject} in ${took(detail)}: ${told.removedObjects} objects removed, ${bytes(told.removedBytes)} freed.`,
    ...(told.repackedPacks > 0 ? [`${told.repackedPacks} mostly dead packs of ${told.repackedTrees} trees were rewritten.`] : []),
    ...(told.waitingObjects > 0 ? [`${told.waitingObjects} objects wait for their grace, ${bytes(told.waitingBytes)}.`] : []),
  ].join("\n");
}

const Looked = z.object({
  found: count,
  findings: z.array(Finding).default([]),
  trees: count,
  packs: count,
  packBytes: count,
  orphans: count,
  orphanBytes: count,
  readPacks: count,
  readBytes: count,
  healing: z.array(z.string()).default([]),
  unhealed: z.array(z.string()).default([]),
});

function findingLines({ found, findings }: z.infer<typeof Looked>): string[] {
  const lines = findings.map(({ key, problem, digests }) => {
    const hurts =
      digests.length === 0 ? "no image needs what is broken" : `${digests.length} ${digests.length === 1 ? "tree needs" : "trees need"} it`;
    return `  ${key}: ${problem} (${hurts})`;
  });
  return found > findings.length ? [...lines, `  and ${found - findings.length} more`] : lines;
}

const verdict = ({ found }: z.infer<typeof Looked>): string =>
  found === 0 ? "Everything is whole" : `${found} objects are not as they should be`;

function readWords({ readPacks, readBytes }: z.infer<typeof Looked>, { createdAt, endedAt }: OperationDetail): string {
  const seconds = endedAt ? (endedAt.getTime() - createdAt.getTime()) / 1000 : 0;
  const speed = seconds > 0 && readBytes > 0 ? `, ${rate(readBytes / seconds)}` : "";
  return `${readPacks} packs were read, ${bytes(readBytes)}${speed}`;
}

function checked(detail: OperationDetail): string {
  const told = Looked.parse(detail.result ?? {});
  return [
    `${verdict(told)} in ${detail.subject}: ${told.trees} trees, ${told.packs} packs of ${bytes(told.packBytes)}.`,
    ...(told.readPacks > 0 ? [`${readWords(told, detail)}.`] : []),
    ...(told.orphans > 0
      ? [`${told.orphans} objects that nothing needs, ${bytes(told.orphanBytes)}: \`drover store gc\` removes them.`]
      : []),
    ...findingLines(told),
  ].join("\n");
}

function scrubbed(detail: OperationDetail): string {
  const told = Looked.parse(detail.result ?? {});
  return [
    `${verdict(told)} in ${detail.subject}: ${readWords(told, detail)}.`,
    ...findingLines(told),
    ...told.healing.map((id) => `Healing begun: \`drover operation watch ${id}\`.`),
    ...told.unhealed.map((image) => `No host that is here has ${image}: docs/operate.md says what helps.`),
  ].join("\n");
}
