/**
 * The table of who gets which status from which route, as a file that people review: one line per route, one column per caller.
 *
 * The one idea: it is never made by itself. A route without a line, a line without a route and another status are all failures that say what to do.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { callerNames, type CallerName } from "./callers.ts";

const file = new URL("expected.tsv", import.meta.url);
const head = ["route", "rule", ...callerNames];

export interface Line {
  readonly route: string;
  readonly rule: string;
  readonly statuses: Readonly<Record<CallerName, number>>;
}

export function readTable(): Line[] {
  const [, ...lines] = readFileSync(file, "utf8").trimEnd().split("\n");
  return lines.map((line) => {
    const [route = "", rule = "", ...statuses] = line.split("\t");
    return {
      route,
      rule,
      statuses: Object.fromEntries(callerNames.map((name, index) => [name, Number(statuses[index])])) as Line["statuses"],
    };
  });
}

export function writeTable(lines: readonly Line[]): void {
  const rows = lines.map(({ route, rule, statuses }) => [route, rule, ...callerNames.map((name) => statuses[name])]);
  writeFileSync(file, `${[head, ...rows].map((row) => row.join("\t")).join("\n")}\n`);
}

/** What the file says otherwise than the app does, as sentences. */
export function differences(expected: readonly Line[], actual: readonly Line[]): string[] {
  const known = new Map(expected.map((line) => [line.route, line]));
  const served = new Set(actual.map(({ route }) => route));
  const how = "run `npm run contract`, which writes the table, judge the change as a reviewer, and commit it";
  return [
    ...expected.filter(({ route }) => !served.has(route)).map(({ route }) => `${route} is in the table and is not served: ${how}.`),
    ...actual.flatMap(({ route, rule, statuses }) => {
      const line = known.get(route);
      if (!line) return [`${route} has no line: give it a request in tests/contract/requests.ts if its path or body needs one; ${how}.`];
      const rules = line.rule === rule ? [] : [`${route} needs "${rule}" and not "${line.rule}": ${how}.`];
      return [
        ...rules,
        ...callerNames.flatMap((name) =>
          line.statuses[name] === statuses[name]
            ? []
            : [`${route} answers ${statuses[name]} to ${name}, and ${line.statuses[name]} is expected: mend it, or ${how}.`],
        ),
      ];
    }),
  ];
}
