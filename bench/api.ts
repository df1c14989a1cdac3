/**
 * How fast the API is: reads beside a bare Hono handler that answers the same bytes, machines beside bare workflows on the same Temporal server.
 *
 * One table; with `--json` its last line is the same as data.
 * Arguments: `--what <row>` (all five; may be repeated), `--runs <n>` (3), `--seconds <n>` (3, of each read), `--machines <n>` (500), `--hosts <n>` (50), `--json`.
 */
import "../deploy/lifeline.ts";
import { parseArgs } from "node:util";
import { many, measureMany, measureOne } from "./api-machines.ts";
import { measureReads, reads } from "./api-reads.ts";
import { openBenchStack, type BenchStack } from "./stack.ts";
import { onWhat, printJson, printTable, type Row } from "./table.ts";

const { values: options } = parseArgs({
  options: {
    what: { type: "string", multiple: true, default: [...reads, "one machine", ...many] },
    runs: { type: "string", default: "3" },
    seconds: { type: "string", default: "3" },
    machines: { type: "string", default: "500" },
    hosts: { type: "string", default: "50" },
    json: { type: "boolean", default: false },
  },
});
const counts = {
  runs: Number(options.runs),
  seconds: Number(options.seconds),
  machines: Number(options.machines),
  hosts: Number(options.hosts),
};
const known = [...reads, "one machine", ...many];
if (!Object.values(counts).every((count) => Number.isInteger(count) && count > 0) || options.what.some((what) => !known.includes(what))) {
  const words = known.map((what) => `"${what}"`).join("|");
  process.stderr.write(
    `Usage: npm run bench:api -- [--what ${words}] [--runs <n>] [--seconds <n>] [--machines <n>] [--hosts <n>] [--json]\n`,
  );
  process.exit(2);
}

const say = (text: string) => void process.stderr.write(`${text} ...\n`);
say("the embedded stack starts");
const stack = await openBenchStack();
const rows = await measure(stack).finally(() => stack.close());
printTable(rows, [onWhat()]);
if (options.json) printJson(rows);
process.exit(0);

async function measure(on: BenchStack): Promise<Row[]> {
  const wanted = (what: string) => options.what.includes(what);
  const asked = { ...counts, say };
  return [
    ...(await measureReads(on, reads.filter(wanted), asked)),
    ...(wanted("one machine") ? await measureOne(on, asked) : []),
    ...(many.some(wanted) ? await measureMany(on, asked, many.filter(wanted)) : []),
  ];
}
