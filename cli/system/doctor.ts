/**
 * `drover doctor`: what works on this computer, what does not, and what to do about it.
 *
 * The one idea: every check answers, in bounded time, and none depends on another; a computer need not be a host, so what is only missing is told apart from what is broken.
 */
import type { Context } from "../context.ts";
import { exitCodes } from "../exit-codes.ts";
import { table } from "../output/table.ts";
import { problemOf } from "../problem.ts";
import { checks } from "./checks.ts";
import { macChecks } from "./mac.ts";

/** `absent`: not there, and fine unless it is wanted here. */
export type Verdict = "works" | "absent" | "broken";
export interface Finding {
  readonly verdict: Verdict;
  readonly found: string;
  readonly remedy?: string;
}
export interface Check {
  readonly name: string;
  readonly look: (context: Context) => Promise<Finding>;
}

/** A check that hangs tells as much as one that fails. */
const limitMs = 10_000;

export async function doctor(context: Context): Promise<number> {
  const everywhere = checks.map(async ({ name, look }) => ({ name, ...(await bounded(() => look(context))) }));
  const findings = [...(await Promise.all(everywhere)), ...(await ofMac(context))];
  const words = () =>
    table(
      findings,
      [
        { title: "PART", of: ({ name }) => name },
        { title: "STATE", of: ({ verdict }) => verdict },
        { title: "FOUND", of: ({ found, remedy }) => (remedy === undefined ? found : `${found}\n${remedy}`) },
      ],
      "",
    );
  context.show(findings, words);
  return (findings.some(({ verdict }) => verdict === "broken") ? exitCodes.failed : exitCodes.done).code;
}

/** What is gathered once serves all of them. */
async function ofMac({ parts }: Context): Promise<Array<Finding & { name: string }>> {
  const facts = await parts.macFacts();
  return facts === null ? [] : macChecks.map(({ name, judge }) => ({ name, ...judge(facts) }));
}

async function bounded(look: () => Promise<Finding>): Promise<Finding> {
  const late = Promise.withResolvers<Finding>();
  const timer = setTimeout(() => late.resolve({ verdict: "broken", found: `no answer within ${limitMs / 1000} s` }), limitMs);
  try {
    return await Promise.race([look(), late.promise]);
  } catch (error) {
    const { message, remedy } = problemOf(error);
    return { verdict: "broken", found: message, remedy };
  } finally {
    clearTimeout(timer);
  }
}
