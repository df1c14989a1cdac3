/** `drover image retention list|set|remove|apply`. */
import { z } from "zod";
import { everyCatalogId, RetentionRule as RuleShape, RetentionVerdict } from "../../domain/catalog/care.ts";
import { Nothing, pathOf } from "../client.ts";
import type { Context } from "../context.ts";
import { exitCodes } from "../exit-codes.ts";
import { took } from "../operations/await.ts";
import { seeThrough, waitingOf } from "../operations/start.ts";
import { bytes } from "../output/format.ts";
import { table } from "../output/table.ts";
import { given, wholeNumber } from "../values.ts";
import { fromJson, Operation, type OperationDetail } from "../wire.ts";

const RetentionRule = fromJson(RuleShape);
type Rule = z.infer<typeof RuleShape>;

export async function listRules(context: Context): Promise<void> {
  const { items } = await (await context.hub()).get("/retention", z.object({ items: z.array(RetentionRule) }));
  context.show(items, () => rulesTable(items));
}

const rulesTable = (rules: readonly Rule[]): string =>
  table(
    rules,
    [
      { title: "IMAGES", of: ({ catalogId }) => catalogId ?? "all others" },
      { title: "NEWEST", of: ({ keepNewest }) => (keepNewest === null ? "" : String(keepNewest)), right: true },
      { title: "PULLED WITHIN", of: ({ keepPulledDays }) => (keepPulledDays === null ? "" : `${keepPulledDays} days`) },
      { title: "TAGGED", of: ({ keepTagged }) => (keepTagged ? "stay" : "may go") },
      { title: "BY", of: ({ createdBy }) => createdBy },
    ],
    "No rules: every version is kept.",
  );

const Wish = z.object({ keepNewest: wholeNumber.optional(), keepPulled: wholeNumber.optional(), taggedToo: z.boolean().default(false) });

export async function setRule(context: Context, [catalogId = everyCatalogId]: readonly string[], raw: unknown): Promise<void> {
  const { keepNewest = null, keepPulled: keepPulledDays = null, taggedToo } = given(Wish, raw);
  const body = { keepNewest, keepPulledDays, keepTagged: !taggedToo };
  const rule = await (await context.hub()).send("PUT", pathOf("retention", catalogId), RetentionRule, { body });
  context.show(rule, () => rulesTable([rule]));
}

export async function removeRule(context: Context, [catalogId = everyCatalogId]: readonly string[]): Promise<void> {
  await (await context.hub()).send("DELETE", pathOf("retention", catalogId), Nothing);
  const name = catalogId === everyCatalogId ? "all others" : catalogId;
  context.show({ removed: catalogId }, () => `Removed the rule for ${name}.`);
}

const Applying = z.object({ dryRun: z.boolean().default(false) });

export async function applyRules(context: Context, _: readonly string[], raw: unknown): Promise<number> {
  const { dryRun } = given(Applying, raw);
  const client = await context.hub();
  if (dryRun) {
    const { items } = await client.get("/retention/plan", z.object({ items: z.array(RetentionVerdict) }));
    context.show(items, () => planTable(items));
    return exitCodes.done.code;
  }
  const waiting = waitingOf(raw);
  const operation = await client.send("POST", "/retention/runs", Operation, { body: { onFault: waiting.onFault } });
  return seeThrough(context, client, { operation, waiting, words: applied, value: ({ result }) => result });
}

const planTable = (verdicts: ReadonlyArray<z.infer<typeof RetentionVerdict>>): string =>
  table(
    verdicts.toSorted((a, b) => Number(a.keep) - Number(b.keep)),
    [
      { title: "IMAGE", of: ({ image }) => image },
      { title: "STORED", of: ({ storedBytes }) => bytes(storedBytes), right: true },
      { title: "", of: ({ keep }) => (keep ? "stays" : "goes") },
      { title: "WHY", of: ({ why }) => why },
    ],
    "No rule is for any version.",
  );

const Applied = z.object({ deleted: z.array(z.string()).default([]), busy: z.array(z.string()).default([]) });

function applied(detail: OperationDetail): string {
  const { deleted, busy } = Applied.parse(detail.result ?? {});
  return [
    `Deleted ${deleted.length} versions in ${took(detail)}. \`drover store gc\` frees what only they needed.`,
    ...deleted.map((image) => `  ${image}`),
    ...busy.map((image) => `  ${image} stays: it is being pushed`),
  ].join("\n");
}
