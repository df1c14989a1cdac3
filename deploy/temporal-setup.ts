/**
 * Prepares a Temporal namespace: retention and search attributes.
 *
 * The one idea: level, not edge. It compares what is there with what is wanted and changes only the difference, so it runs after every start of
 * the embedded server, whose namespaces would keep one day, and as often as one likes on a server of one's own.
 */
import { setTimeout as after } from "node:timers/promises";
import type { Connection } from "@temporalio/client";
import proto from "@temporalio/proto";
import { FaultError } from "../domain/errors.ts";

/** Long enough to look into last week's trouble, short enough for a small disk. */
const retentionDays = 7;
const retentionSeconds = retentionDays * 24 * 60 * 60;

export const searchAttributes = ["DroverOperation", "DroverHost", "DroverMachine", "DroverImage", "DroverActor", "DroverParked"] as const;

/** gRPC's codes for absence, and for what a managed service does not let a client do. */
const notFound = 5;
const denied = [7, 12];
/** INDEXED_VALUE_TYPE_KEYWORD in Temporal's API. */
const keyword = 2;
/** A server reads its list of namespaces anew every 2 to 10 s; three of these rounds. */
const settledMs = 30_000;

/** What is used of a connection, so that a native one fits too. */
export type SetupConnection = Pick<Connection, "workflowService" | "operatorService">;

/** Answers what it changed, in sentences. */
export async function setupNamespace(connection: SetupConnection, namespace: string): Promise<string[]> {
  try {
    return [...(await ensureNamespace(connection, namespace)), ...(await ensureAttributes(connection, namespace))];
  } catch (cause) {
    if (!denied.includes(codeOf(cause))) throw cause;
    const message = `The Temporal server does not let us prepare the namespace ${namespace}. Have it prepared by: ${setupCommands(namespace).join(" && ")}`;
    throw new FaultError({ code: "part_failed", message }, { cause });
  }
}

/** The same as commands for the `temporal` command line. */
export function setupCommands(namespace: string, address?: string): string[] {
  const to = `--namespace ${namespace}${address === undefined ? "" : ` --address ${address}`}`;
  return [
    `temporal operator namespace create ${to} --retention ${retentionDays}d`,
    `temporal operator namespace update ${to} --retention ${retentionDays}d`,
    ...searchAttributes.map((name) => `temporal operator search-attribute create ${to} --name ${name} --type Keyword`),
  ];
}

async function ensureNamespace({ workflowService }: SetupConnection, namespace: string): Promise<string[]> {
  const workflowExecutionRetentionTtl = proto.google.protobuf.Duration.fromObject({ seconds: retentionSeconds });
  const found = await workflowService.describeNamespace({ namespace }).catch((error: unknown) => {
    if (codeOf(error) === notFound) return null;
    throw error;
  });
  if (found === null) {
    await workflowService.registerNamespace({ namespace, workflowExecutionRetentionPeriod: workflowExecutionRetentionTtl });
    return [`The namespace ${namespace} was made; it keeps ${retentionDays} days.`];
  }
  if (Number(found.config?.workflowExecutionRetentionTtl?.seconds ?? 0) === retentionSeconds) return [];
  await workflowService.updateNamespace({ namespace, config: { workflowExecutionRetentionTtl } });
  return [`The namespace ${namespace} now keeps ${retentionDays} days.`];
}

/** Waits until the server knows them: a workflow that starts before would fail on an unknown attribute. */
async function ensureAttributes(connection: SetupConnection, namespace: string): Promise<string[]> {
  const deadline = Date.now() + settledMs;
  const added = new Set<string>();
  for (;;) {
    const missing = await missingAttributes(connection, namespace);
    if (missing?.length === 0) return [...added].map((name) => `The search attribute ${name} was added.`);
    if (Date.now() > deadline) {
      throw new FaultError({
        code: "part_failed",
        message: `The Temporal server does not take the search attributes of the namespace ${namespace}.`,
      });
    }
    const fresh = (missing ?? []).filter((name) => !added.has(name));
    if (fresh.length > 0) {
      await connection.operatorService.addSearchAttributes({
        namespace,
        searchAttributes: Object.fromEntries(fresh.map((name) => [name, keyword])),
      });
      for (const name of fresh) added.add(name);
    }
    await after(100);
  }
}

/** `null` while the server has not yet heard of a namespace that was made a moment ago. */
async function missingAttributes({ operatorService }: SetupConnection, namespace: string): Promise<string[] | null> {
  try {
    const { customAttributes } = await operatorService.listSearchAttributes({ namespace });
    return searchAttributes.filter((name) => customAttributes?.[name] === undefined);
  } catch (error) {
    if (codeOf(error) === notFound) return null;
    throw error;
  }
}

function codeOf(error: unknown): number {
  return error instanceof Error && "code" in error && typeof error.code === "number" ? error.code : -1;
}
