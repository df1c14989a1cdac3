/**
 * Refusals in the three shapes of the wire: plain, with diagnostics, and OAuth's.
 *
 * The one idea: every one has a numeric `code` that repeats the status, because clients read "gone" from the body and not from the status line.
 */
import type { Context } from "hono";
import { HTTPException } from "hono/http-exception";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { z } from "zod";
import { factsOf, kindOf, type Code, type Fault } from "../../domain/errors.ts";
import type { ApiEnv } from "../http.ts";

const ApiErrorResponse = z.object({ message: z.string(), code: z.int() }).meta({ id: "ApiErrorResponse" });
const ApiErrorDiagnosticsResponse = z
  .object({ message: z.string(), diagnostics: z.record(z.string(), z.unknown()), code: z.int() })
  .meta({ id: "ApiErrorDiagnosticsResponse" });
export const OAuthErrorResponse = z
  .object({ error: z.string(), error_description: z.string().optional() })
  .meta({ id: "OAuthErrorResponse" });

/** A refusal in the wire's own words, where clients may compare them. */
export const refusal = (status: ContentfulStatusCode, message: string): HTTPException => new HTTPException(status, { message });

/** Sentences that clients of the wire know; all others are our own. */
const known: Partial<Record<Code, string>> = {
  machine_not_found: "error 404: Virtual machine not found",
  image_not_found: "error 404: catalog manifest not found",
  host_not_found: "error 404: host not found",
  operation_not_found: "job not found",
  image_tainted: "Manifest is tainted",
  image_revoked: "Manifest is revoked",
  user_not_found: "error 404: user not found",
  api_key_not_found: "error 404: API Key not found",
};

/** The families of routes whose refusals carry diagnostics. */
const withDiagnostics = /^\/api\/v1\/(auth|user|cache|ws|templates|ssh|catalog\/cache)(\/|$)/;

/** The shape of the refusals of a route, by its path. */
export const refusalSchema = (path: string) => (withDiagnostics.test(path) ? ApiErrorDiagnosticsResponse : ApiErrorResponse);

export const wireStatusOf = (code: Code): number => factsOf(code).wireStatus ?? kindOf(code).status;
export const wireMessageOf = (fault: Fault): string => known[fault.code] ?? fault.message;

export function wireRefusal(c: Context<ApiEnv>, fault: Fault, error: unknown): Response {
  const status = (error instanceof HTTPException ? error.status : wireStatusOf(fault.code)) as ContentfulStatusCode;
  const waits = fault.details?.["retryAfterSeconds"];
  if (typeof waits === "number") c.header("Retry-After", String(waits));
  return wireError(c, status, wireMessageOf(fault));
}

export function wireError(c: Context<ApiEnv>, status: ContentfulStatusCode, message: string): Response {
  if (!withDiagnostics.test(c.req.path)) return c.json({ message, code: status }, status);
  const at = new Date().toISOString();
  const errors = [{ code: String(status), message, timestamp: at, component: "api" }];
  return c.json(
    {
      message,
      diagnostics: { operation: "api error response", start_time: at, end_time: at, path: [], errors, warnings: [] },
      code: status,
    },
    status,
  );
}
