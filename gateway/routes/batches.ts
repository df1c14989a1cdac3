/** `POST /host/v1/batches`: a host begins its attempts of a batch, in one question. What has fallen out of the batch, or is another host's, gets no fence. */
import { drawFences } from "../../db/batches.ts";
import type { Database } from "../../db/connect.ts";
import { FaultError } from "../../domain/errors.ts";
import type { BatchAnswer, BatchRequest } from "../../domain/hosts/schema.ts";
import type { Caller } from "../callers.ts";

export async function beginBatch(db: Database, caller: Caller, asked: BatchRequest): Promise<BatchAnswer> {
  if (caller.kind !== "host") throw new FaultError({ code: "forbidden", message: "Only hosts make machines." });
  return { fences: await drawFences(db, { ...asked, hostId: caller.hostId }) };
}
