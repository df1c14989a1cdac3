/** The ids behind the names that people type, for requests that take ids only. */
import { pathOf, type Client } from "./client.ts";
import { Host, Machine, Store } from "./wire.ts";

export const hostIdOf = async (client: Client, nameOrId: string): Promise<string> => (await client.get(pathOf("hosts", nameOrId), Host)).id;
export const machineIdOf = async (client: Client, nameOrId: string): Promise<string> =>
  (await client.get(pathOf("machines", nameOrId), Machine)).id;
export const storeIdOf = async (client: Client, nameOrId: string): Promise<string> =>
  (await client.get(pathOf("stores", nameOrId), Store)).id;
