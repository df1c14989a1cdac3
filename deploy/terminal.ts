/** What the programs of the embedded stack share in a terminal: when to end, and where to look. */
import type { Config } from "../domain/config/schema.ts";
import type { Drover } from "./drover.ts";

/** Settles at the first signal that asks for the end. */
export function endAsked(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => resolve());
  return promise;
}

export function whereToLook({ api, temporal }: Config, { stack, passwordFile }: Pick<Drover, "stack" | "passwordFile">): string[] {
  return [
    `  API              ${api.url}/api/v2  (documentation: ${api.url}/docs)`,
    `  Temporal web UI  ${temporal.uiUrl ?? "of your own server"}`,
    `  user             root, password in ${passwordFile}`,
    `  command line     npx drover --help  (no login is needed on this computer)`,
    `  state and logs   ${stack.home}`,
  ];
}
