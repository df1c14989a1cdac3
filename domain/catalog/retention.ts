/**
 * Which versions of an image are kept, and why each of the others goes. Pure: a dry run and the real one judge alike.
 *
 * The one idea: a version stays when any part of its rule speaks for it; nothing goes without a rule.
 */
import { ok, refuse, type Result } from "../errors.ts";

export interface Rule {
  /** So many of the newest versions stay, per architecture. */
  readonly keepNewest: number | null;
  readonly keepTagged: boolean;
  /** Versions that were pulled, or made, within so many days stay. */
  readonly keepPulledDays: number | null;
}

export interface Kept {
  readonly id: string;
  readonly architecture: string;
  readonly tags: readonly string[];
  readonly createdAt: Date;
  readonly lastDownloadedAt: Date | null;
}

export interface Verdict<V extends Kept> {
  readonly version: V;
  readonly keep: boolean;
  readonly why: string;
}

const dayMs = 86_400_000;

/** A rule that names no number would keep nothing but tagged versions: that is more often a mistake than a wish. */
export function checkRule({ keepNewest, keepPulledDays }: Rule): Result<void> {
  if (keepNewest !== null || keepPulledDays !== null) return ok(undefined);
  return refuse({
    code: "retention_invalid",
    message:
      "The rule says neither how many of the newest versions stay (keepNewest) nor for how many days pulled ones do (keepPulledDays).",
  });
}

/** Judges the versions of one catalog id. */
export function judge<V extends Kept>(versions: readonly V[], rule: Rule, now: Date): Verdict<V>[] {
  return [...Map.groupBy(versions, ({ architecture }) => architecture).values()].flatMap((siblings) =>
    siblings
      .toSorted((a, b) => b.createdAt.getTime() - a.createdAt.getTime() || (a.id < b.id ? -1 : 1))
      .map((version, place) => ({ version, ...verdict(version, place, rule, now) })),
  );
}

function verdict(version: Kept, place: number, { keepNewest, keepTagged, keepPulledDays }: Rule, now: Date) {
  if (keepNewest !== null && place < keepNewest) return { keep: true, why: `one of the ${keepNewest} newest` };
  if (keepTagged && version.tags.length > 0) return { keep: true, why: `tagged ${version.tags.join(", ")}` };
  const used = version.lastDownloadedAt ?? version.createdAt;
  const days = (now.getTime() - Math.max(used.getTime(), version.createdAt.getTime())) / dayMs;
  if (keepPulledDays !== null && days < keepPulledDays) return { keep: true, why: `pulled or made ${age(days)}` };
  const reasons = [
    ...(keepNewest === null ? [] : [`not one of the ${keepNewest} newest`]),
    ...(keepTagged ? ["not tagged"] : []),
    ...(keepPulledDays === null ? [] : [`neither pulled nor made within ${keepPulledDays} days`]),
  ];
  return { keep: false, why: reasons.join(", ") };
}

const age = (days: number): string => (days < 1 ? "within a day" : `${Math.floor(days)} days ago`);
