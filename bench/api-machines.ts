/**
 * How fast machines are made, beside bare workflows with one activity on the same Temporal server in the same run.
 *
 * The one idea: what Parallels Desktop takes is not ours. Of one machine the time inside `prlctl` processes is taken off; five hundred are made on
 * hosts of which everything is real but that program.
 */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as after } from "node:timers/promises";
import { z } from "zod";
import { EnrolmentToken, Operation } from "../cli/wire.ts";
import { median } from "./api-reads.ts";
import type { Bare, BareAsk } from "./bare-worker.ts";
import { answerOf, beside } from "./child.ts";
import type { FleetAsk } from "./fleet.ts";
import { image, type BenchStack } from "./stack.ts";
import { largerIsBetter, smallerIsBetter, type Row } from "./table.ts";

export interface MachineOptions {
  readonly runs: number;
  readonly machines: number;
  readonly hosts: number;
  readonly say: (text: string) => void;
}

/** The rows of many machines. The second is compared with the first, which it so brings along. */
const oneByOne = "500 machines";
const byOnePost = "500 machines in one post";
export const many = [oneByOne, byOnePost] as const;
type Many = (typeof many)[number];

/** Machines, and bare workflows, that are made one after the other in one run. */
const alone = 15;
const Made = z.object({ operation: Operation, machine: z.object({ id: z.string() }) });
const MadeMany = z.object({ items: z.array(Made) });

const bareOf = ({ env }: BenchStack, ask: Pick<BareAsk, "alone" | "together">): Promise<Bare> =>
  answerOf("./bare-worker.ts", { address: env["TEMPORAL_ADDRESS"] ?? "", namespace: env["TEMPORAL_NAMESPACE"] ?? "", ...ask });

const make = ({ client }: BenchStack, name: string, more: object = {}) =>
  client.send("POST", "/machines", Made, { body: { name, image, vcpus: 1, memoryBytes: 512 * 1024 ** 2, ...more } });

/** From the POST until the machine runs, without the time inside prlctl, against the time of a bare workflow. */
export async function measureOne(stack: BenchStack, { runs, say }: MachineOptions): Promise<Row[]> {
  const log = join(stack.home, "commands.log");
  await writeFile(log, "");
  const host = await openFleet(stack, { hosts: 1, label: "timed", say, commandsLog: log });
  const ours: { whole: number; own: number }[] = [];
  const theirs: number[] = [];
  for (let run = 1; run <= runs; run++) {
    say(`one machine, run ${run} of ${runs}`);
    theirs.push((await bareOf(stack, { alone, together: 0 })).aloneMs);
    for (let made = 0; made < alone; made++) {
      await writeFile(log, "");
      const from = now();
      const { operation, machine } = await make(stack, `one-${run}-${made}`, { hostLabels: ["timed"] });
      await stack.done(operation.id);
      const to = now();
      const inside = insideCommands(await readFile(log, "utf8"), machine.id, { from, to });
      ours.push({ whole: to - from, own: to - from - inside });
      const retired = await stack.client.send("DELETE", `/machines/${machine.id}`, Operation, { query: { force: true } });
      await stack.done(retired.id);
    }
  }
  await host.close();
  const peer = { name: "bare one-activity workflow", value: median(theirs) };
  const whole = median(ours.map((one) => one.whole));
  return [
    smallerIsBetter("one machine", median(ours.map(({ own }) => own)), "ms", peer, { leastRatio: 1 / 4 }),
    smallerIsBetter("one machine, with prlctl", whole, "ms", null),
  ];
}

const now = () => performance.timeOrigin + performance.now();

/** The time in which at least one command for the machine ran. The inventory's own commands are nobody's wait. */
function insideCommands(log: string, machineId: string, { from, to }: { from: number; to: number }): number {
  const spans = log
    .split("\n")
    .map((line) => line.split(" "))
    .filter(
      ([, , verb, ...words]) =>
        words.some((word) => word.includes(machineId)) || (verb === "list" && !words.includes("-i")) || verb === "register",
    )
    .map(([began = "", ended = ""]) => ({ begin: Math.max(Number(began), from), end: Math.min(Number(ended), to) }))
    .toSorted((a, b) => a.begin - b.begin);
  let inside = 0;
  let until = from;
  for (const { begin, end } of spans) {
    inside += Math.max(0, end - Math.max(begin, until));
    until = Math.max(until, end);
  }
  return inside;
}

/** One after the other, from the first POST until all run; and as many by one POST, each in the same run. */
export async function measureMany(
  stack: BenchStack,
  { runs, machines, hosts, say }: MachineOptions,
  which: readonly Many[],
): Promise<Row[]> {
  const rates: number[] = [];
  const together: number[] = [];
  const posts: number[] = [];
  const theirs: number[] = [];
  const fleet = await openFleet(stack, { hosts, label: "fleet", say });
  try {
    for (let run = 1; run <= runs; run++) {
      say(`${machines} machines on ${hosts} hosts, run ${run} of ${runs}`);
      if (which.includes(oneByOne)) theirs.push((await bareOf(stack, { alone: 1, together: machines })).perSecond);
      const began = performance.now();
      const ids: string[] = [];
      for (let made = 0; made < machines; made++)
        ids.push((await make(stack, `many-${run}-${made}`, { hostLabels: ["fleet"] })).machine.id);
      posts.push((machines * 1000) / (performance.now() - began));
      await settled(stack, "provision");
      rates.push((machines * 1000) / (performance.now() - began));
      const inOnePost = which.includes(byOnePost);
      if (inOnePost || run < runs) await retireAll(stack, ids);
      if (!inOnePost) continue;
      const { rate, made } = await byOne(stack, `herd-${run}`, machines);
      together.push(rate);
      if (run < runs) await retireAll(stack, made);
    }
  } finally {
    await fleet.close();
  }
  const rows: Row[] = [];
  if (which.includes(oneByOne)) {
    const peer = { name: "bare one-activity workflows", value: median(theirs) };
    rows.push(largerIsBetter(`${machines} machines`, median(rates), "1/s", peer, 0.5));
    rows.push(largerIsBetter(`${machines} machines, accepted`, median(posts), "1/s", peer, null));
  }
  const alone = { name: "posted one by one", value: median(rates) };
  if (which.includes(byOnePost)) rows.push(largerIsBetter(`${machines} machines in one post`, median(together), "1/s", alone, 5));
  return rows;
}

async function byOne(stack: BenchStack, name: string, count: number): Promise<{ rate: number; made: string[] }> {
  const began = performance.now();
  const body = { name, count, image, vcpus: 1, memoryBytes: 512 * 1024 ** 2, hostLabels: ["fleet"] };
  const { items } = await stack.client.send("POST", "/machines", MadeMany, { body });
  await settled(stack, "provision");
  return { rate: (count * 1000) / (performance.now() - began), made: items.map(({ machine }) => machine.id) };
}

async function retireAll(stack: BenchStack, ids: readonly string[]): Promise<void> {
  for (const id of ids) await stack.client.send("DELETE", `/machines/${id}`, Operation, { query: { force: true } });
  await settled(stack, "retire");
}

interface Fleet {
  readonly hosts: number;
  readonly label: string;
  readonly say: MachineOptions["say"];
  readonly commandsLog?: string;
}

/** Hosts of one process, enrolled like any other, with the image in their caches. */
async function openFleet(stack: BenchStack, { hosts, label, say, ...more }: Fleet) {
  say(`${hosts} hosts enrol`);
  const tokens: FleetAsk["tokens"] = [];
  for (let host = 1; host <= hosts; host++) {
    const body = { hostName: `${label}-${host}`, labels: [label] };
    const { token, url } = await stack.client.send("POST", "/hosts/tokens", EnrolmentToken, { body });
    tokens.push({ token, url });
  }
  const fleet = await beside("./fleet.ts", JSON.stringify({ folder: join(stack.home, label), tokens, ...more } satisfies FleetAsk));
  await online(stack, label, hosts);
  const { id } = await stack.client.send("POST", "/prefetches", Operation, { body: { image, labels: [label], atOnce: 8 } });
  await stack.done(id);
  return fleet;
}

const Seen = z.object({ name: z.string(), state: z.string() });
async function online({ client }: BenchStack, label: string, hosts: number): Promise<void> {
  for (;;) {
    const seen = await client.list("/hosts", Seen);
    if (seen.filter(({ name, state }) => name.startsWith(`${label}-`) && state === "online").length === hosts) return;
    await after(100);
  }
}

/** Waits until no operation of the verb is under way, and fails where one did not end well. */
async function settled({ client }: BenchStack, verb: "provision" | "retire"): Promise<void> {
  for (;;) {
    const states = ["pending", "running", "parked", "failed"];
    const [pending, running, parked, failed] = await Promise.all(
      states.map((state) => client.list("/operations", Operation, { verb, state }, 1)),
    );
    const bad = [...(parked ?? []), ...(failed ?? [])][0];
    if (bad) throw new Error(`${bad.verb} ${bad.subject} is ${bad.state}: ${JSON.stringify(bad.fault)}`);
    if (pending?.length === 0 && running?.length === 0) return;
    await after(50);
  }
}
