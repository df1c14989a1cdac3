/** What super users do with the rules for workloads. */
import { resolve } from "node:path";
import { z } from "zod";
import { RuleTrial } from "../../domain/access/identity.ts";
import { readToken } from "../access/workload-login.ts";
import { Nothing, pathOf } from "../client.ts";
import type { Context } from "../context.ts";
import { exitCodes } from "../exit-codes.ts";
import { facts, table } from "../output/table.ts";
import { usageFault } from "../problem.ts";
import { given, pairs, seconds } from "../values.ts";
import { IdentityRule } from "../wire.ts";

const path = (...rest: string[]) => pathOf("identity", "rules", ...rest);
/** Those that everybody has, by name. */
const issuers: Readonly<Record<string, string>> = { github: "https://token.actions.githubusercontent.com", gitlab: "https://gitlab.com" };

export async function listRules(context: Context): Promise<void> {
  const found = await (await context.hub()).list(path(), IdentityRule);
  const columns = [
    { title: "NAME", of: ({ name }: IdentityRule) => name },
    { title: "ISSUER", of: ({ issuer }: IdentityRule) => issuer },
    { title: "AUDIENCE", of: ({ audience }: IdentityRule) => audience },
    {
      title: "CLAIMS",
      of: ({ conditions }: IdentityRule) =>
        Object.entries(conditions)
          .map((pair) => pair.join("="))
          .join(" "),
    },
    { title: "AS", of: ({ username }: IdentityRule) => username },
    { title: "LASTS", of: ({ lifetimeSeconds }: IdentityRule) => `${lifetimeSeconds} s`, right: true },
  ];
  context.show(found, () => table(found, columns, "No identity rules."));
}

const Adding = z.object({
  issuer: z.string("must name whose tokens: github, gitlab or an address"),
  as: z.string("must name the user whom the pipeline acts as"),
  claim: pairs,
  audience: z.string().optional(),
  lifetime: seconds.optional(),
});

export async function addRule(context: Context, [name]: readonly string[], options: unknown): Promise<void> {
  const { issuer: word, as: user, claim: conditions, audience, lifetime: lifetimeSeconds } = given(Adding, options);
  const client = await context.hub();
  const wanted = { name, issuer: issuers[word] ?? word, audience: audience ?? client.url, conditions, user, lifetimeSeconds };
  const added = await client.send("POST", path(), IdentityRule, { body: wanted });
  context.show(
    added,
    () => `Its tokens must be for the audience ${added.audience}; they act as ${added.username} for ${added.lifetimeSeconds} s.`,
  );
}

export async function removeRule(context: Context, [name = ""]: readonly string[]): Promise<void> {
  await (await context.hub()).send("DELETE", path(name), Nothing);
  context.show({ name }, () => `Removed ${name}.`);
}

const Testing = z.object({ tokenFile: z.string().optional() });

export async function testRules(context: Context, _args: readonly string[], options: unknown): Promise<number> {
  const { tokenFile } = given(Testing, options);
  if (tokenFile === undefined) throw usageFault("Name the file of the token with --token-file.", "drover identity rule test");
  const token = await readToken(resolve(context.folder, tokenFile));
  const trial = await (await context.hub()).send("POST", path("test"), RuleTrial, { body: { token } });
  const { subject, refused, taken, rules } = trial;
  context.show(trial, () =>
    facts([
      ["subject", subject],
      ["refused", refused],
      ...rules.map(({ name, fits, reasons }): [string, string] => [name, fits ? "fits" : reasons.join("; ")]),
      ["logs in by", taken ?? "no rule"],
    ]),
  );
  return taken === null ? exitCodes.failed.code : exitCodes.done.code;
}
