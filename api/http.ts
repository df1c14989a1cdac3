/**
 * Answers and refusals, documented from the same table that decides them.
 *
 * The one idea: a fault becomes an HTTP answer in one place. Our routes answer `problem+json`, the wire's answer in the shape its clients parse; neither
 * ever shows a stack or a foreign message.
 */
import type { Hook } from "@hono/zod-openapi";
import type { Context } from "hono";
import { HTTPException } from "hono/http-exception";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import type { Logger } from "pino";
import { z } from "zod";
import type { Needs } from "../domain/access/rules.ts";
import type { Actor } from "../domain/access/schema.ts";
import { factsOf, FaultError, kindOf, kinds, type Code, type Fault } from "../domain/errors.ts";
import { foreignFault } from "../domain/foreign.ts";
import type { UserClaims } from "../security/user-tokens.ts";
import { isWire } from "./paths.ts";
import { wireRefusal } from "./wire/errors.ts";

/** Of a token of somebody else that a request brought: whom it names, and whether its signature was good. */
export interface Claimant {
  readonly subject: string;
  readonly verified: boolean;
}

/** What a stream looks at again and again: the credentials that opened it may end while it goes on. */
export interface Standing {
  /** Of credentials that nobody renews; null for all others. */
  readonly endsAt: Date | null;
  readonly login: UserClaims["login"] | null;
  /** The rule that let a workload in. */
  readonly ruleId: string | null;
}

export interface ApiEnv {
  Variables: {
    requestId: string;
    /** The address that it comes from, as far as anybody trustworthy knows it. */
    source: string;
    actor: Actor | undefined;
    standing: Standing | undefined;
    claimant: Claimant | undefined;
    needs: Needs | undefined;
    /** Aborted when the time that the request said it has is nearly over. */
    deadline: AbortSignal | undefined;
    log: Logger;
  };
}

export const Problem = z
  .object({
    code: z.string(),
    message: z.string(),
    remedy: z.string(),
    requestId: z.string(),
    status: z.int(),
    subject: z.string().optional(),
    details: z.record(z.string(), z.unknown()).optional(),
  })
  .meta({ id: "Problem" });

export const json = <S extends z.ZodType>(schema: S, description: string) => ({ description, content: { "application/json": { schema } } });

const problemJson = (description: string) => ({ description, content: { "application/problem+json": { schema: Problem } } });

/** The refusals of a route, one per status; codes of one status share its description. */
export function faults(...listed: Code[]) {
  const byStatus = Map.groupBy(["invalid_request", "unauthenticated", "forbidden", ...listed] as Code[], (code) => kindOf(code).status);
  return Object.fromEntries(
    [...byStatus].map(([status, codes]) => [
      status,
      problemJson([...new Set(codes)].map((code) => `\`${code}\`: ${factsOf(code).remedy}`).join(" ")),
    ]),
  );
}

/** A request that does not fit its schema: every mistake at once, each with the place where it is. */
export const rejectInvalid: Hook<unknown, ApiEnv, string, unknown> = (result) => {
  if (result.success) return;
  throw new FaultError({
    code: "invalid_request",
    message: describeIssues(result.error),
    details: { issues: result.error.issues.map(({ path, message }) => ({ path: path.join("."), message })) },
  });
};

export const describeIssues = (error: z.core.$ZodError): string =>
  error.issues.map(({ path, message }) => (path.length === 0 ? message : `${path.join(".")}: ${message}`)).join("; ");

export const parsed = <S extends z.ZodType>(schema: S, value: unknown): z.output<S> => {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new FaultError({ code: "invalid_request", message: describeIssues(result.error) });
};

/** The one place where whatever went wrong becomes an answer. */
export function onError(error: unknown, c: Context<ApiEnv>): Response {
  // What a deadline broke off ends in whatever way it does.
  const fault = faultOf(error) ?? (c.var.deadline?.aborted ? tooLate : null);
  const known = fault !== null && fault.code !== "internal";
  if (!known) c.var.log.error({ event: "request.failed", requestId: c.var.requestId, error }, "a request failed in an unforeseen way");
  const told: Fault = fault ?? { code: "internal", message: "The request failed in an unforeseen way." };
  if (isWire(c.req.path)) return wireRefusal(c, told, error);
  if (error instanceof HTTPException) return c.body(JSON.stringify(problemOf(c, told, error.status)), error.status, problemType);
  const waits = told.details?.["retryAfterSeconds"];
  if (typeof waits === "number") c.header("Retry-After", String(waits));
  return c.body(JSON.stringify(problemOf(c, told)), kindOf(told.code).status as ContentfulStatusCode, problemType);
}

export const tooLate: Fault = {
  code: "deadline_exceeded",
  message: "The time that the request had is over; what it asked for may have been done.",
};

const problemType = { "Content-Type": "application/problem+json" };

function problemOf(c: Context<ApiEnv>, fault: Fault, status: number = kindOf(fault.code).status): z.infer<typeof Problem> {
  const { code, message, subject, details } = fault;
  return {
    code,
    message,
    remedy: factsOf(code).remedy,
    requestId: c.var.requestId,
    status,
    ...(subject === undefined ? {} : { subject }),
    ...(details === undefined ? {} : { details: { ...details } }),
  };
}

/** Null: nothing that we foresaw. */
function faultOf(error: unknown): Fault | null {
  if (error instanceof FaultError) return error.fault;
  if (error instanceof HTTPException) return { code: error.status >= 500 ? "internal" : "invalid_request", message: error.message };
  return foreignFault(error);
}

export function notFound(c: Context<ApiEnv>, path: string): Response {
  if (isWire(c.req.path)) return c.json({ message: `resource ${path} not found`, code: kinds.not_found.status }, kinds.not_found.status);
  return onError(new FaultError({ code: "route_not_found", message: `There is no route ${path}.` }), c);
}
