/**
 * What the activities of one host share: the way to the hub, the disk, Parallels Desktop, and what may happen at once.
 *
 * The one idea: limits live in this process, which is the only one of its host, so a queue is a queue and not a guess.
 */
import { realpath } from "node:fs/promises";
import { isAbsolute, resolve, sep } from "node:path";
import { FaultError } from "../../domain/errors.ts";
import type { Cache } from "../../images/cache.ts";
import type { Level } from "../../images/level.ts";
import type { Line } from "../../images/line.ts";
import type { Prlctl } from "../../parallels/prlctl.ts";
import type { Attempts } from "./attempt.ts";
import type { BootLimits } from "./boot.ts";
import type { Guard } from "./guard.ts";
import type { HubLink } from "./hub-link.ts";
import type { Ledger } from "./ledger.ts";
import type { Peers } from "./peers.ts";
import type { Pins } from "./pins.ts";
import type { KeyedSlots, Slots } from "./slots.ts";

/** How transfers of this host move their bytes. */
export interface Moving {
  /** What all of them together may take. */
  readonly line: Line;
  readonly level: Level;
  /** Requests of one transfer at once; the engine's own number without it. */
  readonly parallel?: number;
}

/** What a push needs of whoever has the bundle: a host, or a caller's own computer. */
export interface TransferContext {
  readonly link: HubLink;
  readonly attempts: Attempts;
  /** Transfers at once: more than a few only share the same line and disk. */
  readonly transfers: Slots;
  readonly journalFolder: string;
  /** What the last push of each bundle found. */
  readonly recordFolder: string;
  readonly moving: Moving;
  /** Folders that bundles may be pushed from; null on a caller's own computer, where the file system's rights decide. */
  readonly roots: readonly string[] | null;
  /** Parallels Desktop where there is one: it tells whether the bundle's machine is stopped. */
  readonly prlctl: Prlctl | null;
}

export interface HostContext extends TransferContext {
  /** Whose mark the machines made here get. */
  readonly hubId: string;
  /** What the others are not guarded by: changes of the disk ask it first. */
  readonly guard: Pick<Guard, "by" | "begun" | "mayChange">;
  readonly prlctl: Prlctl;
  readonly cache: Cache;
  /** Left free on the cache's disk. */
  readonly keepBytes: number;
  /** Most that the cache may hold; null for all but what is kept free. */
  readonly cacheBytes: number | null;
  readonly pins: Pins;
  /** Hosts nearby that share what they fetch; null where the peer port is off. */
  readonly peers: Pick<Peers, "near"> | null;
  readonly ledger: Ledger;
  readonly limits: BootLimits;
  /** One change per machine at a time. */
  readonly machines: KeyedSlots;
  /** One after the other per image: what one operation fetches or verifies, another must not begin anew, rename or remove meanwhile. */
  readonly images: KeyedSlots;
  /** Parallels Desktop refuses two linked clones of one source at once. */
  readonly sources: KeyedSlots;
  /** macOS guests take two sessions at once, then refuse logons. */
  readonly sessions: Slots;
  readonly machineFolder: string;
  /** Tells the inventory that something changed, so that the hub hears of it at once. */
  readonly changed: () => void;
}

/** The real path behind `path`, if it lies below one of the roots: a link does not lead out of them. */
export async function insideRoots(path: string, roots: readonly string[] | null): Promise<string> {
  if (!isAbsolute(path) || path.includes("\0"))
    throw new FaultError({ code: "invalid_request", message: `path: "${path}" is not an absolute path.` });
  const real = await realpath(path).catch(() => null);
  const judged = real ?? resolve(path);
  const allowed =
    roots === null || (await realRoots(roots)).some((root) => judged === root || judged.startsWith(root.endsWith(sep) ? root : root + sep));
  if (!allowed)
    throw new FaultError({
      code: "path_forbidden",
      message: `${path} lies outside the folders that this host gives to Drover.`,
      subject: path,
    });
  if (real === null) throw new FaultError({ code: "bundle_not_found", message: `There is nothing at ${path}.`, subject: path });
  return real;
}

const realRoots = (roots: readonly string[]): Promise<string[]> =>
  Promise.all(roots.map((root) => realpath(root).catch(() => resolve(root))));
