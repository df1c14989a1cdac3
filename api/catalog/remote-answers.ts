/**
 * What another catalog answers, before it is passed on.
 *
 * The one idea: the other side is known by the manager's rights, not by those of whoever asks here; so what the caller may not see is taken out of its
 * answers, and so is every place and credential of its storage.
 */
import { z } from "zod";
import { maySee, type Holder } from "../../domain/catalog/rules.ts";
import { FaultError } from "../../domain/errors.ts";
import type { RemoteAnswer } from "../../domain/catalog/managers.ts";

/** Answers are a few levels deep; what is deeper was made to be. */
const deepest = 32;
const Guarded = z.object({ required_roles: z.array(z.string()).nullish(), required_claims: z.array(z.string()).nullish() });

/** The JSON of an answer that is one, undefined where it has no body. */
export function jsonIn({ text }: RemoteAnswer, who: string): unknown {
  if (text.trim() === "") return undefined;
  try {
    return JSON.parse(text);
  } catch {
    throw new FaultError({ code: "remote_unreachable", message: `The catalog at ${who} does not answer JSON.`, subject: who });
  }
}

/** Of a storage provider only its kind is told. */
export function withoutPlaces(value: unknown, depth = 0): unknown {
  if (depth > deepest) return null;
  if (Array.isArray(value)) return value.map((item) => withoutPlaces(item, depth + 1));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, part]) => {
      // A list under such a name is the versions of an image that is called so.
      if (typeof part === "string" && /^(password|api_key|secret|connection)$/i.test(key)) return [];
      return [[key, key.toLowerCase() === "provider" ? kindOnly(part) : withoutPlaces(part, depth + 1)]];
    }),
  );
}

const kindOnly = (provider: unknown) =>
  typeof provider === "object" && provider !== null && "type" in provider ? { type: String(provider.type) } : {};

const isSeen = (manifest: unknown, holder: Holder): boolean => {
  const { data } = Guarded.safeParse(manifest);
  return data !== undefined && maySee({ requiredRoles: data.required_roles ?? [], requiredClaims: data.required_claims ?? [] }, holder);
};

/** A catalog (groups of one key each), a list of manifests, or one: with what the holder may see; null when nothing is left of one. */
export function seenBy(value: unknown, holder: Holder): unknown {
  if (Array.isArray(value))
    return value.flatMap((item) => (isGroup(item) ? seenOfGroup(item, holder) : isSeen(item, holder) ? [item] : []));
  return isSeen(value, holder) ? value : null;
}

const isGroup = (item: unknown): item is Record<string, unknown[]> =>
  typeof item === "object" && item !== null && !Array.isArray(item) && Object.values(item).every(Array.isArray);

const seenOfGroup = (group: Record<string, unknown[]>, holder: Holder): Array<Record<string, unknown[]>> => {
  const seen = Object.entries(group).map(([id, versions]) => [id, versions.filter((version) => isSeen(version, holder))] as const);
  const left = seen.filter(([, versions]) => versions.length > 0);
  return left.length === 0 ? [] : [Object.fromEntries(left)];
};

const Refused = z.object({ message: z.string().optional(), error_description: z.string().optional() });
/** As much of a refusal as fits a line. */
const longestMessage = 500;

export function refusalIn(answer: RemoteAnswer, who: string): string {
  const { data } = Refused.safeParse(answer.text.trim().startsWith("{") ? jsonIn(answer, who) : {});
  return (data?.message ?? data?.error_description ?? `the other catalog answers with status ${answer.status}`).slice(0, longestMessage);
}
