/**
 * Passwords, hashed by Argon2id, with a short memory for right ones.
 *
 * The one idea: some clients log in before every request, and a hash costs 19 MiB and tens of milliseconds; so a right password is remembered for
 * five minutes, not itself but as an HMAC under a key of this process, bound to the stored hash: a changed password is forgotten by itself.
 */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { hash, verify } from "@node-rs/argon2";
import { isMoved, movedHash, movedMatches } from "./moved-hashes.ts";

export interface Passwords {
  /** Whether it was right within the last five minutes; tells at once, without a hash. */
  remembers(password: string, stored: string): boolean;
  hash(password: string): Promise<string>;
  /** `null` for a user without a password, or an unknown user: costs as much time as a wrong one. */
  matches(password: string, stored: string | null): Promise<boolean>;
}

/** OWASP's first choice: 19 MiB, two passes, one lane. */
const cost = { memoryCost: 19_456, timeCost: 2, parallelism: 1 };
/** 8 hashes at once need 152 MiB at most, and more would only wait for processors. */
const atOnce = 8;
const rememberedMs = 5 * 60_000;
/** More users than log in within five minutes; bounds the memory. */
const rememberedCount = 10_000;

/** Of no password that anybody knows. */
const decoyMoved = movedHash(`$2b$10$${"x".repeat(53)}`, "decoy");

export function passwordHasher(): Passwords {
  const limited = limiter(atOnce);
  const key = randomBytes(32);
  const remembered = new Map<string, { mark: Buffer; until: number }>();
  const decoy = limited(() => hash(randomBytes(16).toString("hex"), cost));
  // Nobody waits for it before the first unknown user.
  decoy.catch(() => undefined);

  const markOf = (password: string, stored: string) => createHmac("sha256", key).update(stored).update("\0").update(password).digest();
  const remembers: Passwords["remembers"] = (password, stored) => {
    const known = remembered.get(stored);
    return known !== undefined && known.until > Date.now() && timingSafeEqual(known.mark, markOf(password, stored));
  };
  let meetsMoved = false;
  /** From the first hash of another service on, whatever is wrong costs both kinds, so the time tells nobody whose password is still of the other. */
  const proven = async (password: string, stored: string | null): Promise<boolean> => {
    const moved = stored !== null && isMoved(stored);
    meetsMoved ||= moved;
    const right = await verify(stored === null || moved ? await decoy : stored, password);
    if (moved) return movedMatches(password, stored);
    if (meetsMoved && !right) await movedMatches(password, decoyMoved);
    return right && stored !== null;
  };
  const matches: Passwords["matches"] = async (password, stored) => {
    if (stored !== null && remembers(password, stored)) return true;
    const right = await limited(() => proven(password, stored));
    if (stored === null) return false;
    if (right) {
      if (remembered.size >= rememberedCount) remembered.clear();
      remembered.set(stored, { mark: markOf(password, stored), until: Date.now() + rememberedMs });
    }
    return right;
  };
  return { hash: (password) => limited(() => hash(password, cost)), matches, remembers };
}

function limiter(limit: number) {
  let running = 0;
  const waiting: Array<() => void> = [];
  return async <T>(act: () => Promise<T>): Promise<T> => {
    // Whoever ends hands its place on, so a newcomer cannot slip in between.
    if (running >= limit) await new Promise<void>((go) => void waiting.push(go));
    else running += 1;
    try {
      return await act();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else running -= 1;
    }
  };
}
