/** Guarantees of retention: nothing goes that any part of its rule speaks for, and the judgement does not depend on the order of its input. */
import { describe, expect, it } from "vitest";
import { checkRule, judge, type Kept, type Rule } from "./retention.ts";

const now = new Date("2026-06-01T00:00:00Z");
const ago = (days: number) => new Date(now.getTime() - days * 86_400_000);
const version = (id: string, madeDaysAgo: number, more: Partial<Kept> = {}): Kept => ({
  id,
  architecture: "arm64",
  tags: [],
  createdAt: ago(madeDaysAgo),
  lastDownloadedAt: null,
  ...more,
});
const gone = (versions: Kept[], rule: Partial<Rule>) =>
  judge(versions, { keepNewest: null, keepTagged: true, keepPulledDays: null, ...rule }, now)
    .filter(({ keep }) => !keep)
    .map(({ version: { id } }) => id)
    .toSorted();

describe("retention", () => {
  const four = [version("a", 40), version("b", 30), version("c", 20), version("d", 10)];

  it("keeps the newest of each architecture", () => {
    expect(gone([...four, version("x", 99, { architecture: "x86_64" })], { keepNewest: 2 })).toEqual(["a", "b"]);
  });

  it("keeps what is tagged, unless the rule says otherwise", () => {
    const tagged = [version("a", 40, { tags: ["stable"] }), ...four.slice(1)];
    expect(gone(tagged, { keepNewest: 1 })).toEqual(["b", "c"]);
    expect(gone(tagged, { keepNewest: 1, keepTagged: false })).toEqual(["a", "b", "c"]);
  });

  it("keeps what was pulled or made within the days, and only that", () => {
    const pulled = [version("a", 40, { lastDownloadedAt: ago(5) }), version("b", 30, { lastDownloadedAt: ago(15) }), ...four.slice(2)];
    expect(gone(pulled, { keepPulledDays: 14 })).toEqual(["b", "c"]);
    expect(gone(pulled, { keepPulledDays: 14, keepNewest: 2 })).toEqual(["b"]);
  });

  it("says for each version why it goes", () => {
    const [oldest] = judge(four, { keepNewest: 2, keepTagged: true, keepPulledDays: 7 }, now).filter(({ keep }) => !keep);
    expect(oldest?.why).toBe("not one of the 2 newest, not tagged, neither pulled nor made within 7 days");
  });

  it("judges alike whatever the order of the versions is", () => {
    const rule = { keepNewest: 2, keepTagged: true, keepPulledDays: 25 };
    expect(gone(four.toReversed(), rule)).toEqual(gone(four, rule));
  });

  it("refuses a rule that speaks for nothing but tags", () => {
    expect(checkRule({ keepNewest: null, keepTagged: true, keepPulledDays: null }).ok).toBe(false);
    expect(checkRule({ keepNewest: null, keepTagged: false, keepPulledDays: 0 }).ok).toBe(true);
  });
});
