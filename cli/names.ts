/** The ids behind the names that people type, for requests that take ids only. */
import { FaultError } from "../domain/errors.ts";
import { pathOf, type Client } from "./client.ts";
import { Host, Machine, Store } from "./wire.ts";

export const hostIdOf = async (client: Client, nameOrId: string): Promise<string> => (await client.get(pathOf("hosts", nameOrId), Host)).id;
export const machineIdOf = async (client: Client, nameOrId: string): Promise<string> =>
  (await client.get(pathOf("machines", nameOrId), Machine)).id;

export async function storeIdOf(client: Client, nameOrId: string): Promise<string> {
  const stores = await client.list("/stores", Store);
  const found = stores.find(({ id, name }) => id === nameOrId.toLowerCase() || name === nameOrId);
  if (!found) throw new FaultError({ code: "store_not_found", message: `There is no store ${nameOrId}.`, subject: nameOrId });
  return found.id;
}
