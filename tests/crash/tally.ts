/**
 * What a campaign of kills came to: points, steps that were hit, how long operations took to end afterwards.
 *
 * The one idea: the tables that the documentation shows are printed by the run itself, so figures are copied and never typed.
 */
import { crashVerbs, type CrashVerb } from "./asks.ts";
import { victims, type Victim } from "./kills.ts";
import { median, type RoundResult } from "./round.ts";

export interface Tally {
  add(result: RoundResult, kills: number): void;
  points(victim: Victim, verb: CrashVerb): number;
  /** How often each step was hit, by `verb / step`. */
  steps(): ReadonlyMap<string, number>;
  tables(): string;
}

const keyOf = (verb: string, step: string): string => `${verb} / ${step}`;

export function openTally(): Tally {
  const results: RoundResult[] = [];
  let killed = 0;
  const hits = () => results.flatMap((result) => result.hits);
  const points = (victim: Victim, verb: CrashVerb) => hits().filter((hit) => hit.victim === victim && hit.verb === verb).length;
  const steps = () => {
    const counts = new Map<string, number>();
    for (const { verb, step } of hits()) counts.set(keyOf(verb, step), (counts.get(keyOf(verb, step)) ?? 0) + 1);
    return counts;
  };
  return {
    add: (result, kills) => {
      results.push(result);
      killed += kills;
    },
    points,
    steps,
    tables: () => {
      const asked = results.reduce((sum, { asks }) => sum + asks.length, 0);
      const tries = results.reduce((sum, { asks }) => sum + asks.reduce((all, { tries: own }) => all + own, 0), 0);
      const wrong = results.reduce((sum, result) => sum + result.wrong.length, 0);
      const looks = results.reduce((sum, result) => sum + result.looks.times, 0);
      const things = results.reduce((sum, result) => sum + result.looks.things, 0);
      return [
        `${results.length} rounds, ${killed} kills, ${hits().length} points, ${asked} operations in ${tries} requests; ${wrong} findings. ${looks} looks at ${things} things that became visible.`,
        pointTable(points),
        stepTable(steps()),
        timeTable(results),
      ].join("\n\n");
    },
  };
}

const row = (cells: readonly (string | number)[]): string => `| ${cells.join(" | ")} |`;
const table = (head: readonly string[], rows: readonly (readonly (string | number)[])[]): string =>
  [row(head), row(head.map(() => "---")), ...rows.map(row)].join("\n");

function pointTable(points: Tally["points"]): string {
  const rows = victims.map((victim) => [victim, ...crashVerbs.map((verb) => points(victim, verb))]);
  return table(["killed", ...crashVerbs], rows);
}

function stepTable(steps: ReadonlyMap<string, number>): string {
  const rows = [...steps].toSorted(([a], [b]) => a.localeCompare(b)).map(([step, count]) => [step, count]);
  return table(["verb / step", "points"], rows);
}

function timeTable(results: readonly RoundResult[]): string {
  const rows = victims.flatMap((victim) => {
    const times = results.flatMap(({ settledMs }) => settledMs.filter((one) => one.victim === victim).map(({ ms }) => ms));
    if (times.length === 0) return [];
    return [[victim, (median(times) / 1000).toFixed(1), (Math.max(...times) / 1000).toFixed(1)]];
  });
  return table(["killed", "seconds to the operation's end: median", "longest"], rows);
}
