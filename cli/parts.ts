/**
 * What commands ask of the rest of Drover on this computer: bundles, processes, the embedded stack.
 *
 * The one idea: commands know the vocabulary and the API only; `bind.ts` loads the rest, and only for the command that needs it.
 */
import type { Client } from "./client.ts";

/** The processes of Drover; each runs in the foreground until it is told to end. */
export const processNames = ["api", "hub", "gateway", "host"] as const;
export type ProcessName = (typeof processNames)[number];

export interface BundleReport {
  /** What the bundle is, as facts to print and as they are in JSON. */
  readonly facts: Readonly<Record<string, unknown>>;
  /** Why a push would refuse it; empty when it would not. */
  readonly refusals: readonly { readonly code: string; readonly message: string; readonly remedy: string }[];
}

export interface Enrolment {
  readonly url: string;
  readonly token: string;
  readonly replace: boolean;
}

export interface Serving {
  readonly client: Client;
  readonly operationId: string;
  /** The right to this operation's transfer. */
  readonly token: string;
  /** Ends the worker, after the activity that runs. */
  readonly signal: AbortSignal;
}

export const rotatable = ["master", "payload", "signing", "grant"] as const;
export type Rotatable = (typeof rotatable)[number];

export interface Rotated {
  readonly id: string;
  readonly replaced: string;
}

export interface KeyList {
  readonly hubId: string;
  readonly masterKey: { readonly id: string; readonly from: string; readonly since: Date | null };
  readonly keys: readonly { readonly id: string; readonly purpose: string; readonly current: boolean; readonly createdAt: Date }[];
}

/** How much of each a lost master key took with it. */
export interface Forgotten {
  readonly id: string;
  readonly stores: number;
  readonly hosts: number;
  readonly operations: number;
  readonly outputs: number;
  readonly userConfigs: number;
}

/** The keys of the hub whose database and master key this computer has. `proven`: the database says that the master key is the hub's. */
export interface KeyTools {
  show(): Promise<KeyList>;
  rotate(key: Rotatable): Promise<Rotated>;
  /** The master key itself. */
  read(): Promise<{ key: string; id: string; proven: boolean }>;
  /** Makes a master key the one of this computer. */
  take(key: string): Promise<{ id: string; file: string; proven: boolean }>;
  forget(): Promise<Forgotten>;
}

/** What a Mac says of itself, each as it came; null is what could not be had. */
export interface MacFacts {
  readonly osVersion: string;
  /** `prlsrvctl info --json`, `info --license --json`, `net info Shared --json`. */
  readonly server: string | null;
  readonly licence: string | null;
  readonly sharedNetwork: string | null;
  /** The file in which Parallels Desktop keeps the addresses that it gave out. */
  readonly leases: string | null;
  readonly disk: { readonly folder: string; readonly freeBytes: number; readonly totalBytes: number } | null;
  /** How launchd runs the host worker, where it does. */
  readonly service: "daemon" | "agent" | null;
  readonly nowMs: number;
}

/** The service that keeps this computer's host worker running; `user` is whose worker it is. */
export interface ServiceTools {
  /** The file that would be put in place. */
  file(user: string | undefined): Promise<{ path: string; text: string }>;
  install(user: string | undefined): Promise<{ path: string; changed: boolean; user: string }>;
  uninstall(): Promise<{ path: string; changed: boolean }>;
}

export interface Parts {
  version(): Promise<string>;
  inspectBundle(path: string): Promise<BundleReport>;
  /** Does the activities of one operation on this computer until the signal. */
  serveCaller(serving: Serving): Promise<void>;
  enrol(enrolment: Enrolment): Promise<{ name: string; hostId: string; identityFile: string }>;
  /** Settles once the process runs. */
  runProcess(name: ProcessName): Promise<void>;
  start(): Promise<void>;
  /** What was changed, in sentences. */
  setupTemporal(): Promise<string[]>;
  keys(): KeyTools;
  service(): ServiceTools;
  temporalCommands(): Promise<string[]>;
  /** The folders that were removed. */
  reset(): Promise<string[]>;
  /** Where an executable lies, null where it is missing. */
  findTool(name: string): Promise<string | null>;
  prlctl(): Promise<string | null>;
  /** Null on every other computer. */
  macFacts(): Promise<MacFacts | null>;
}
