/**
 * How a process of the hub reaches Temporal: variables and files exactly as Temporal's own tools read them.
 *
 * The one idea: `@temporalio/envconfig` decides; only the default namespace is ours.
 */
import { loadClientConfigProfile, toClientOptions } from "@temporalio/envconfig";
import type { NativeConnectionOptions } from "@temporalio/worker";
import type { Environment } from "../domain/config/schema.ts";
import { FaultError } from "../domain/errors.ts";

export interface TemporalTarget {
  /** For `Connection.connect` and `NativeConnection.connect` alike. */
  readonly options: NativeConnectionOptions;
  readonly namespace: string;
}

export const defaultNamespace = "drover";

export function temporalTarget(env: Environment): TemporalTarget {
  const overrideEnvVars = Object.fromEntries(Object.entries(env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));
  try {
    const profile = loadClientConfigProfile({ overrideEnvVars });
    return { options: toClientOptions(profile).connectionOptions, namespace: profile.namespace ?? defaultNamespace };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new FaultError(
      { code: "configuration_invalid", message: `The TEMPORAL_* variables or Temporal's configuration file have a mistake: ${reason}.` },
      { cause },
    );
  }
}

/** Whether someone named a server of their own, by variable or by a file that they chose. */
export const namesServer = (env: Environment): boolean =>
  ["TEMPORAL_ADDRESS", "TEMPORAL_PROFILE", "TEMPORAL_CONFIG_FILE"].some((name) => env[name] !== undefined && env[name] !== "");
