/**
 * How the host routes refuse: every fault becomes `problem+json`, from the same table as everywhere.
 */
import { randomUUID } from "node:crypto";
import type { Context } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import type { Logger } from "pino";
import type { z } from "zod";
import type { GatewayMetrics } from "./metrics.ts";
import { factsOf, FaultError, type Fault, kindOf } from "../domain/errors.ts";
import { foreignFault } from "../domain/foreign.ts";

/** Names the code in the head of a refusal. */
const faultHeader = "x-drover-fault";

export function refusal(c: Context, error: unknown, { log, metrics }: { log: Logger; metrics: GatewayMetrics }): Response {
  const requestId = randomUUID();
  const known = error instanceof FaultError ? error.fault : foreignFault(error);
  if (!known || known.code === "internal")
    log.error({ event: "gateway.request_failed", requestId, path: c.req.path, err: error }, "A host's request failed unexpectedly.");
  const fault: Fault = known ?? { code: "internal", message: "The gateway failed on this request." };
  const { code, message, subject, details } = fault;
  metrics.refusals.inc({ code });
  const body = {
    code,
    message,
    remedy: factsOf(code).remedy,
    requestId,
    ...(subject === undefined ? {} : { subject }),
    ...(details === undefined ? {} : { details }),
  };
  return c.body(JSON.stringify(body), kindOf(code).status as ContentfulStatusCode, {
    "Content-Type": "application/problem+json",
    // An answer to HEAD has no body.
    [faultHeader]: code,
  });
}

/** The body as the schema says, or `invalid_request` with every mistake. */
export async function bodyOf<S extends z.ZodType>(c: Context, schema: S): Promise<z.output<S>> {
  const text: unknown = await c.req.json().catch(() => undefined);
  const parsed = schema.safeParse(text);
  if (parsed.success) return parsed.data;
  const mistakes = parsed.error.issues.map(({ path, message }) => `${path.join(".") || "body"}: ${message}`);
  throw new FaultError({ code: "invalid_request", message: `The request has mistakes: ${mistakes.join("; ")}.`, details: { mistakes } });
}
