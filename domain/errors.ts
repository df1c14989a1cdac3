/**
 * What can go wrong, as data: one union of codes, one carrier, one table.
 *
 * The one idea: a fault is decided once, where it is known, and every border (HTTP, Temporal, the command line) reads its meaning from this table.
 * Decisions return `Result`; I/O throws `FaultError`.
 */
import { accessCodes } from "./access/codes.ts";
import { catalogCodes } from "./catalog/codes.ts";
import { configCodes } from "./config/codes.ts";
import { hostCodes } from "./hosts/codes.ts";
import { machineCodes } from "./machines/codes.ts";
import { operationCodes } from "./operations/codes.ts";
import { poolCodes } from "./pools/codes.ts";
import { webhookCodes } from "./webhooks/codes.ts";

/** What a fault means to the outside worlds: HTTP, Temporal, and the operator. */
export const kinds = {
  invalid: { status: 400, retryable: false },
  unauthenticated: { status: 401, retryable: false },
  forbidden: { status: 403, retryable: false },
  not_found: { status: 404, retryable: false },
  conflict: { status: 409, retryable: false },
  precondition_failed: { status: 412, retryable: false },
  limited: { status: 429, retryable: false },
  internal: { status: 500, retryable: true },
  corrupt: { status: 502, retryable: true },
  unavailable: { status: 503, retryable: true },
  late: { status: 504, retryable: false },
} as const satisfies Record<string, { status: number; retryable: boolean }>;
export type Kind = keyof typeof kinds;

/** One row of the table. `parks`: an operator can mend it, so the step waits for one. `wireStatus`: what the Parallels DevOps contract answers instead. */
export interface CodeFacts {
  readonly kind: Kind;
  readonly remedy: string;
  readonly parks?: boolean;
  readonly wireStatus?: number;
  /** Where trying again by itself makes no sense although its kind would allow it. */
  readonly retryable?: false;
}

/** One stable code per thing that can go wrong. Adding a code is compatible, changing one is not. */
export const codes = {
  ...accessCodes,
  ...catalogCodes,
  ...configCodes,
  ...hostCodes,
  ...machineCodes,
  ...operationCodes,
  ...poolCodes,
  ...webhookCodes,
} as const;
export type Code = keyof typeof codes;

export interface Fault {
  readonly code: Code;
  readonly message: string; // What happened, to what; no secrets.
  readonly subject?: string;
  readonly details?: Readonly<Record<string, unknown>>;
}

export type Result<T> = { ok: true; value: T } | { ok: false; fault: Fault };
export const ok = <T>(value: T): Result<T> => ({ ok: true, value });
export const refuse = (fault: Fault): Result<never> => ({ ok: false, fault });

/** The one exception of the code base: a fault on its way to a border. */
export class FaultError extends Error {
  override readonly name = "FaultError";
  readonly fault: Fault; // A parameter property would not be erasable.
  constructor(fault: Fault, options?: ErrorOptions) {
    super(fault.message, options);
    this.fault = fault;
  }
}

export function unwrap<T>(result: Result<T>): T {
  if (result.ok) return result.value;
  throw new FaultError(result.fault);
}

export const isCode = (word: unknown): word is Code => typeof word === "string" && Object.hasOwn(codes, word);
/** Of what came back from another process. */
export const isFault = (value: unknown): value is Fault =>
  typeof value === "object" && value !== null && "code" in value && "message" in value && isCode(value.code);
export const factsOf = (code: Code): CodeFacts => codes[code];
export const kindOf = (code: Code) => kinds[factsOf(code).kind];
export const isRetryable = (code: Code): boolean => factsOf(code).retryable ?? kindOf(code).retryable;
