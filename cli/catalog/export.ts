/** `drover image export`: writes an image as the Parallels DevOps service keeps it, into a store or a folder of the hub's computer. */
import { isAbsolute, normalize } from "node:path";
import { z } from "zod";
import { NewExport } from "../../domain/catalog/archives.ts";
import { pathOf, type Client } from "../client.ts";
import type { Context } from "../context.ts";
import { storeIdOf } from "../names.ts";
import { seeThrough, waitingOf } from "../operations/start.ts";
import { usageFault } from "../problem.ts";
import { given } from "../values.ts";
import { Operation, Store } from "../wire.ts";
import { oneImage } from "./images.ts";

const Options = z.object({
  format: z.literal("pdpack", "must be pdpack, the only format there is").default("pdpack"),
  store: z.string().optional(),
  to: z.string().optional(),
  plain: z.boolean().optional(),
  replace: z.boolean().optional(),
});
const usage = "drover image export";

export async function exportImage(context: Context, [image = ""]: readonly string[], raw: unknown): Promise<number> {
  const { store, to, plain = false, replace } = given(Options, raw);
  const waiting = waitingOf(raw);
  if ((store === undefined) === (to === undefined)) throw usageFault("Say where to: --store <store> or --to <folder>, one of them.", usage);
  const client = await context.hub();
  const { catalogId, version, architecture } = await oneImage(client, image);
  const storeId = store === undefined ? await folderStore(client, to ?? "") : await storeIdOf(client, store);
  const body = given(NewExport, { storeId, compress: !plain, replace, onFault: waiting.onFault });
  const path = pathOf("images", catalogId, version, architecture, "export");
  return seeThrough(context, client, { operation: await client.send("POST", path, Operation, { body }), waiting });
}

/** A folder is written to as a store, which is made known the first time. */
async function folderStore(client: Client, folder: string): Promise<string> {
  if (!isAbsolute(folder)) throw usageFault("--to is a folder on the hub's computer: give its absolute path.", usage);
  const location = `folder:${normalize(folder).replace(/(?<=.)\/$/, "")}`;
  const known = (await client.list("/stores", Store)).find((store) => store.location === location);
  if (known) return known.id;
  const name = `archives-${location.replace(/\W+/g, "-").slice(-60)}`;
  return (await client.send("POST", "/stores", Store, { body: { name, location } })).id;
}
