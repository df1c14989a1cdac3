/** What nearly every request reads, prepared and shared: who calls, by which key, and machines. */
import { findApiKey, type ApiKey } from "./api-keys.ts";
import { callers, type Caller } from "./callers.ts";
import type { OpenDatabase } from "./connect.ts";
import { heedingDeadlines } from "./deadline.ts";
import { machineReads, type MachineReads } from "./machine-pages.ts";
import { openChanges, type Changes } from "./remembered.ts";
import { together, type Together } from "./together.ts";

export interface Reads {
  /** By the exact id. */
  readonly caller: Together<Caller>;
  readonly apiKey: Together<ApiKey>;
  /** Of what callers may do: whoever remembers any of it is told here that it may have changed. */
  readonly rights: Changes;
  readonly machines: MachineReads;
}

export function openReads({ db, sql }: Pick<OpenDatabase, "db" | "sql">): Reads {
  const client = heedingDeadlines(sql);
  const apiKey = together(async (words) => {
    const keys = await Promise.all(words.map(async (word) => [word, await findApiKey(db, word)] as const));
    return new Map(keys.flatMap(([word, key]) => (key ? [[word, key]] : [])));
  });
  return { caller: callers(client), apiKey, rights: openChanges(), machines: machineReads(client) };
}
