/**
 * What the API needs from the rest of the hub, as interfaces that `api/main.ts` binds.
 *
 * The one idea: routes ask for what they use in their own words, so they can be read, and tested, without knowing who answers.
 */
import type { PayloadCodec } from "@temporalio/common";
import type { Logger } from "pino";
import type { Actor } from "../domain/access/schema.ts";
import type { Guard } from "../domain/access/guessing.ts";
import type { PasswordRules } from "../domain/access/rules.ts";
import type { NewExport, NewImport, StoredArchive } from "../domain/catalog/archives.ts";
import type { ImageKey } from "../domain/catalog/rules.ts";
import type { CatalogManager, ManagerCredentials, RemoteCatalog } from "../domain/catalog/managers.ts";
import type { CachePin, CachePrune, NewPrefetch } from "../domain/catalog/caching.ts";
import type { ImageVersion, NewImageVersion, NewPull, Store } from "../domain/catalog/schema.ts";
import type { Collection, Scrub, StoreCheck } from "../domain/catalog/care.ts";
import type { StoreCredentials } from "../domain/catalog/store-credentials.ts";
import type { StoreTrial } from "../domain/catalog/store-trial.ts";
import type { Result } from "../domain/errors.ts";
import type { EnrolmentToken, NewDrain, NewEnrolmentToken } from "../domain/hosts/schema.ts";
import type { Adoption, Machine, MachineAction, NewMachine, Registration } from "../domain/machines/schema.ts";
import type { Decision, OnFault } from "../domain/operations/rules.ts";
import type { NextAttempt, Operation } from "../domain/operations/schema.ts";
import type { Lease, NewLease } from "../domain/pools/schema.ts";
import type { z } from "zod";
import type { Brought } from "../control/bring.ts";
import type { Sent } from "../control/send.ts";
import type { Asked } from "../control/start.ts";
import type { Database } from "../db/connect.ts";
import type { Reads } from "../db/reads.ts";
import type { ForeignTokens } from "../security/foreign-tokens.ts";
import type { Sealer } from "../security/sealing.ts";
import type { Passwords } from "../security/passwords.ts";
import type { TransferTokens } from "../security/transfer-tokens.ts";
import type { ArchiveTokens } from "../security/archive-tokens.ts";
import type { Signer } from "../security/user-tokens.ts";
import type { AdmissionSettings } from "./middleware/admission.ts";
import type { Rates } from "./middleware/rates.ts";
import type { Notifications } from "./notifications.ts";
import type { ProxySettings } from "./source.ts";

/** Long work: each answers as soon as the intent is written and its workflow started. */
export interface Operations {
  push(wanted: NewImageVersion, asked: Asked): Promise<Result<Operation>>;
  pull(wanted: NewPull, asked: Asked): Promise<Result<Operation>>;
  import(wanted: NewImport, asked: Asked): Promise<Result<Operation>>;
  /** A machine of an image behind a catalog manager, which becomes a version of ours on the way. */
  bring(wanted: Brought, asked: Asked): Promise<Result<Operation>>;
  /** A bundle as a version of a catalog behind a catalog manager. */
  send(wanted: Sent, asked: Asked): Promise<Result<Operation>>;
  export(image: ImageKey, wanted: NewExport, asked: Asked): Promise<Result<Operation>>;
  /** Brings an image to several hosts. */
  prefetch(wanted: NewPrefetch, asked: Asked): Promise<Result<Operation>>;
  /** Closes a host (id or name) and empties it. */
  drain(host: string, wanted: NewDrain, asked: Asked): Promise<Result<Operation>>;
  /** Changes of a host's cache; `host` by id or name. */
  prune(host: string, wanted: CachePrune, asked: Asked): Promise<Result<Operation>>;
  pin(host: string, wanted: { act: "pin" | "unpin"; image: CachePin }, asked: Asked): Promise<Result<Operation>>;
  provision(wanted: NewMachine, asked: Asked): Promise<Result<{ operation: Operation; machine: Machine }>>;
  /** Many at once, called by numbers: all, or none. */
  provisionMany(
    wanted: NewMachine & { readonly count: number },
    asked: Asked,
  ): Promise<Result<{ operation: Operation; machine: Machine }[]>>;
  act(machine: string, action: MachineAction, asked: Asked): Promise<Result<Operation>>;
  retire(machine: string, options: { force: boolean; keepsBundle?: boolean }, asked: Asked): Promise<Result<Operation>>;
  /** Makes a machine of a bundle on a host. */
  register(wanted: Registration, asked: Asked): Promise<Result<Operation>>;
  adopt(machineId: string, wanted: Adoption, asked: Asked): Promise<Result<Operation>>;
  collect(store: string, wanted: Collection, asked: Asked): Promise<Result<Operation>>;
  check(store: string, wanted: StoreCheck, asked: Asked): Promise<Result<Operation>>;
  scrub(store: string, wanted: Scrub, asked: Asked): Promise<Result<Operation>>;
  /** Deletes the versions that no retention rule keeps. */
  retain(wanted: { onFault: OnFault }, asked: Asked): Promise<Result<Operation>>;
  cancel(operationId: string, asked: Asked): Promise<Result<Operation>>;
  /** An operator's word on a step that waits. */
  decide(operationId: string, word: Decision, asked: Asked): Promise<Result<Operation>>;
  /** What a running step waits for between two attempts; null also when nobody can tell quickly. */
  nextAttempt(operation: Operation, step: string | undefined): Promise<NextAttempt | null>;
}

/** Machines that are ready before they are asked for. */
export interface Pools {
  lease(pool: string, wanted: NewLease, asked: Asked): Promise<Result<Lease>>;
  /** `lease`: its id, or its machine's id or name. */
  release(pool: string, lease: string, asked: Asked): Promise<Result<Operation>>;
  /** What a pool should have has changed: it is looked at soon. */
  wake(pool: { readonly id: string; readonly name: string }): void;
}

export interface Enrolments {
  newToken(wanted: z.output<typeof NewEnrolmentToken>, actor: Actor): Promise<EnrolmentToken>;
  check(token: string): Promise<{ valid: boolean; hostName?: string; expiresAt?: Date; reason?: string }>;
}

export interface Stores {
  /** Registers a store after it was reached; its secret is sealed. */
  add(
    wanted: {
      name?: string | undefined;
      location: string;
      credentials?: StoreCredentials | null | undefined;
      /** Never written to; or so where it may not be written to. */
      readOnly?: boolean | "where refused" | undefined;
    },
    actor: Actor,
  ): Promise<Result<Store>>;
  /** Another name, other credentials, or another way to the same place (id or name), once the store was reached by them. */
  change(
    idOrName: string,
    change: {
      name?: string | undefined;
      location?: string | undefined;
      credentials?: StoreCredentials | undefined;
      readOnly?: boolean | undefined;
      maxBytesPerSecond?: number | null | undefined;
      maxRequests?: number | null | undefined;
    },
  ): Promise<Result<Store>>;
  makeDefault(idOrName: string): Promise<Result<Store>>;
  /** Forgets a store that nothing points to; what lies in it stays. */
  remove(idOrName: string): Promise<Result<Store>>;
  /** Tries every right that a transfer needs, one after the other. */
  test(idOrName: string, signal: AbortSignal): Promise<AsyncIterable<StoreTrial>>;
}

/** A command on a computer that the caller named, with credentials that nobody keeps. */
export interface SshCommand {
  readonly host: string;
  readonly port: number;
  readonly username: string;
  readonly password: string;
  /** A private key as text. */
  readonly key: string;
  readonly command: string;
  /** Believe any host key, where the hub's configuration allows that. */
  readonly insecure: boolean;
}
/** `exitCode`: null where the command ended by a signal. Fails with `address_forbidden`, `ssh_refused` or `ssh_failed`. */
export type RunSsh = (wanted: SshCommand, signal: AbortSignal) => Promise<{ output: string; exitCode: number | null }>;

/** The catalogs behind catalog managers. */
export interface Remotes {
  /** With the credentials that are kept for it, or with those at hand. */
  open(manager: Pick<CatalogManager, "id" | "url" | "trusted">, credentials?: ManagerCredentials): RemoteCatalog;
}

/** What this process writes to its log. */
export interface LogLines {
  /** The last ones, oldest first; at most so many, else all that are kept. */
  recent(most?: number): string[];
  /** Those that come, until the signal is aborted. */
  follow(signal: AbortSignal): AsyncIterable<string>;
}

/** One part that the API depends on: null when it works, else what is wrong. */
export type Check = () => Promise<string | null>;

export interface Settings {
  readonly prefix: string;
  readonly modules: readonly string[];
  readonly cors: { readonly origins: readonly string[]; readonly methods: readonly string[]; readonly headers: readonly string[] };
  readonly passwords: PasswordRules;
  readonly guard: Guard;
  /** From when on this process takes no more. */
  readonly limits: AdmissionSettings;
  /** Whose word counts on where a request comes from. */
  readonly proxies: ProxySettings;
  readonly tokenLifetimeMs: number;
  /** How long a login may be renewed. */
  readonly loginLimitMs: number;
  readonly defaultHost: string | undefined;
  readonly reserved: { readonly cpus: number; readonly memoryBytes: number; readonly diskBytes: number };
  readonly temporalUi: { readonly url: string | undefined; readonly namespace: string };
  readonly gateway: {
    readonly url: string;
    readonly grpcAddress: string;
    readonly namespace: string;
    readonly hubId: string;
    readonly authority: string;
  };
  /** `path`: a secret part of the address, where no token can be sent; `origin`: the web UI's. */
  readonly codec: { readonly path: string | null; readonly origin: string | null };
  readonly version: string;
}

export interface KeptArchive {
  readonly packBytes: number;
  /** Where somebody measured it. */
  readonly md5: string | null;
  isThere(): Promise<boolean>;
  read(range: { offsetBytes: number; lengthBytes: number }, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>>;
  manifest(signal: AbortSignal): Promise<Buffer>;
}

export interface Hub {
  readonly db: Database;
  readonly reads: Reads;
  readonly log: Logger;
  readonly logs: LogLines;
  readonly operations: Operations;
  readonly pools: Pools;
  readonly signer: Signer;
  /** Tokens of identity providers and of platforms. */
  readonly foreign: ForeignTokens;
  /** Rights of callers' own computers. */
  readonly transfers: TransferTokens;
  readonly passwords: Passwords;
  readonly sealer: Sealer;
  readonly enrolments: Enrolments;
  readonly stores: Stores;
  /** What a store (id or name) holds of the Parallels DevOps service. */
  readonly archives: (idOrName: string, project: string) => Promise<Result<StoredArchive[]>>;
  /** An image as one file, and its size where that is known. */
  readonly archiveOf: (
    image: ImageVersion,
    how: { compress: boolean; signal: AbortSignal },
  ) => Promise<{ bytes: number | null; content: AsyncIterable<Uint8Array> }>;
  /** An image as the Parallels DevOps service finds it in a store; null where it lies in none so. */
  readonly keptArchive: (image: ImageVersion) => Promise<KeptArchive | null>;
  /** Rights of such a service to read one. */
  readonly archiveRights: ArchiveTokens;
  readonly remotes: Remotes;
  readonly ssh: RunSsh;
  readonly codec: PayloadCodec;
  readonly notifications: Notifications;
  readonly rates: Rates;
  readonly checks: Readonly<Record<string, Check>>;
  readonly settings: Settings;
  /** Aborted when the process shuts down: open streams and waits end then. */
  readonly closing: AbortSignal;
}
