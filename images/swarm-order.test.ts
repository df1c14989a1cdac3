/** Hosts that know of each other agree, without asking, who takes which part; who helps begins where the one that is first ends. */
import { describe, expect, it } from "vitest";
import { markOf, storeOrder, type Ordered } from "./swarm-order.ts";

const hosts = ["a", "b", "c", "d"];
const parts = Array.from({ length: 200 }, (_, n) => ({ mark: markOf(`pack:${n}`) }));
const nobody = () => false;

function taken(self: string, others: readonly string[], mostBefore: number): Ordered[] {
  const waiting = new Set(parts);
  const order = storeOrder(self, waiting);
  const look = { isGone: (part: Ordered) => !waiting.has(part), isAside: nobody };
  const found: Ordered[] = [];
  for (let part = order.next(others, mostBefore, look); part; part = order.next(others, mostBefore, look)) {
    waiting.delete(part);
    found.push(part);
  }
  return found;
}

const others = (self: string) => hosts.filter((host) => host !== self);

describe("the order of parts", () => {
  it("makes one host first for each part", () => {
    const all = hosts.flatMap((host) => taken(host, others(host), 0));
    expect(all.length).toBe(parts.length);
    expect(new Set(all).size).toBe(parts.length);
  });

  it("gives every part to whoever is left", () => {
    expect(taken("a", [], 0).length).toBe(parts.length);
    expect(taken("a", others("a"), hosts.length).length).toBe(parts.length);
  });

  it("lets who helps one other begin with what that one takes last", () => {
    const first = taken("a", ["b"], 0);
    const help = taken("b", ["a"], 1).slice(taken("b", ["a"], 0).length);
    expect(help).toEqual(first.toReversed());
  });

  it("leaves aside what another takes, and comes back to it", () => {
    const order = storeOrder("a", new Set(parts));
    const first = order.next([], 0, { isGone: nobody, isAside: nobody });
    const second = order.next([], 0, { isGone: nobody, isAside: (part) => part === first });
    expect(second).not.toBe(first);
    expect(order.next([], 0, { isGone: nobody, isAside: nobody })).toBe(first);
  });

  it("sees what was gone again only once it is told to forget", () => {
    const order = storeOrder("a", new Set(parts));
    const all = { isGone: () => true, isAside: nobody };
    expect(order.next([], 0, all)).toBeNull();
    expect(order.next([], 0, { isGone: nobody, isAside: nobody })).toBeNull();
    order.forget();
    expect(order.next([], 0, { isGone: nobody, isAside: nobody })).not.toBeNull();
  });
});
