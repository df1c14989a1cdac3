/**
 * The hub side's way to Temporal: connections as the environment tells, payloads and failures through the codec.
 *
 * The one idea: clients and workers of the hub share one data converter, so nothing is ever written in clear by one and unreadable to another.
 */
import { fileURLToPath } from "node:url";
import { Client, Connection } from "@temporalio/client";
import type { PayloadCodec } from "@temporalio/common";
import { NativeConnection } from "@temporalio/worker";
import { environment } from "../deploy/configuration.ts";
import { temporalTarget, type TemporalTarget } from "../deploy/temporal-connection.ts";
import { FaultError } from "../domain/errors.ts";
import { withoutAbsent } from "../domain/fields.ts";

/** Long enough for a server that is starting, short enough for a supervisor to try again. */
const connectMs = 10_000;

export interface TemporalClient {
  readonly client: Client;
  readonly connection: Connection;
}

/** For processes that start and ask workflows. */
export async function connectTemporal(
  codec: PayloadCodec,
  target: TemporalTarget = temporalTarget(environment()),
): Promise<TemporalClient> {
  const { options, namespace } = target;
  const { address, tls, apiKey, metadata } = options;
  const given = withoutAbsent({ address, tls, apiKey, metadata });
  const connection = await reached(target, () => Connection.connect({ ...given, connectTimeout: connectMs }));
  return { connection, client: new Client({ connection, namespace, dataConverter: hubConverter(codec) }) };
}

/** For processes that run workflows and activities. Payloads are encrypted before they travel: compressing them would only cost both sides time. */
export async function connectWorker(target: TemporalTarget = temporalTarget(environment())): Promise<NativeConnection> {
  return reached(target, () => NativeConnection.connect({ ...target.options, grpcCompression: { codec: "none" } }));
}

/** Also given to the bundler: failures of workflows are made inside the bundle. */
export const failureConverterPath = fileURLToPath(new URL("./failure-converter.ts", import.meta.url));

export const hubConverter = (codec: PayloadCodec) => ({ payloadCodecs: [codec], failureConverterPath });

async function reached<T>({ options }: TemporalTarget, connect: () => Promise<T>): Promise<T> {
  try {
    return await connect();
  } catch (cause) {
    const message = `No Temporal server answers at ${options.address ?? "127.0.0.1:7233"}.`;
    throw new FaultError({ code: "hub_unavailable", message, subject: options.address ?? "" }, { cause });
  }
}
