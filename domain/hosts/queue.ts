/**
 * Requests for machines that found no room: whose turn it is, and what is left for whoever comes after them.
 *
 * The one idea: nothing is kept for anybody. Each time the queue is put in order anew, and room is given in thought to those before; so a request that fits
 * where nobody before it does goes ahead, and one with a higher priority never waits behind a lower one.
 */
import { candidates, type Demand, type Labels, type Supply } from "./rules.ts";

export interface Waiting {
  readonly machineId: string;
  readonly project: string;
  /** The higher, the earlier. */
  readonly priority: number;
  readonly sinceMs: number;
  readonly labels: Labels;
  readonly demand: Demand;
}

/**
 * By priority; among equals the project that has the fewest machines, those counted that its own requests before would get; then the one that waits longest.
 * `holds`: machines that each project has on hosts.
 */
export function inTurn<W extends Waiting>(waiting: readonly W[], holds: ReadonlyMap<string, number>): W[] {
  const counted = new Map(holds);
  const lines = [...Map.groupBy(waiting, ({ project }) => project).values()].map((line) => line.toSorted(within));
  const share = ({ project }: Waiting) => counted.get(project) ?? 0;
  const before = (a: W, b: W) => b.priority - a.priority || share(a) - share(b) || a.sinceMs - b.sinceMs || byId(a, b);
  const order: W[] = [];
  while (order.length < waiting.length) {
    const [next] = lines.flatMap(([head]) => head ?? []).toSorted(before);
    if (!next) break;
    lines.find(([head]) => head === next)?.shift();
    counted.set(next.project, share(next) + 1);
    order.push(next);
  }
  return order;
}

const byId = (a: Waiting, b: Waiting) => a.machineId.localeCompare(b.machineId);
const within = (a: Waiting, b: Waiting) => b.priority - a.priority || a.sinceMs - b.sinceMs || byId(a, b);

/** More of those before are not looked at: with so many, what is left is guessed well enough. */
const mostBefore = 200;

type Asking = Pick<Waiting, "demand" | "labels">;

/** The host that this one gets, null where there is none, and what hosts have left then. */
export function giveRoom(supplies: readonly Supply[], { demand, labels }: Asking): { host: Supply | null; left: readonly Supply[] } {
  const fit = candidates(supplies, demand);
  const host = (fit.ok ? fit.value[0] : undefined) ?? null;
  if (host === null) return { host, left: supplies };
  return { host, left: supplies.map((supply) => (supply.id === host.id ? without(supply, demand, labels) : supply)) };
}

/** What hosts have left once those before have got, in their turn, what there is for them. */
export const leftBy = (supplies: readonly Supply[], before: readonly Asking[]): readonly Supply[] =>
  before.slice(0, mostBefore).reduce((left, one) => giveRoom(left, one).left, supplies);

/** Which host each gets that gets one, when room is given in this order. */
export function placeInTurn(supplies: readonly Supply[], order: readonly (Asking & Pick<Waiting, "machineId">)[]): Map<string, Supply> {
  const chosen = new Map<string, Supply>();
  let left = supplies;
  for (const one of order) {
    const given = giveRoom(left, one);
    if (given.host) chosen.set(one.machineId, given.host);
    left = given.left;
  }
  return chosen;
}

function without(supply: Supply, { vcpus, memoryBytes, diskBytes, macos, runs }: Demand, labels: Labels): Supply {
  return {
    ...supply,
    carries: [...supply.carries, labels],
    freeVcpus: supply.freeVcpus - (runs ? vcpus : 0),
    freeMemoryBytes: supply.freeMemoryBytes - (runs ? memoryBytes : 0),
    freeDiskBytes: supply.freeDiskBytes - diskBytes,
    freeMacosSlots: supply.freeMacosSlots - (runs && macos ? 1 : 0),
  };
}
