/**
 * `drover image import`: images of the Parallels DevOps service, listed, brought into the catalog one by one or all at once.
 *
 * The one idea: each import is an operation of its own, so a catalog of hundreds goes on behind one that fails, and asking again for all skips what is there.
 */
import { z } from "zod";
import { NewImport, StoredArchive as Archive, type StoredArchive } from "../../domain/catalog/archives.ts";
import { FaultError } from "../../domain/errors.ts";
import { pathOf, type Client } from "../client.ts";
import type { Context } from "../context.ts";
import { exitCodes } from "../exit-codes.ts";
import { hostIdOf, storeIdOf } from "../names.ts";
import { awaitOperation } from "../operations/await.ts";
import { seeThrough, waitingOf, type Waiting } from "../operations/start.ts";
import { bytes as size, list } from "../output/format.ts";
import { table } from "../output/table.ts";
import { usageFault } from "../problem.ts";
import { byteSize, given, imageReference } from "../values.ts";
import { Host, Operation, Store } from "../wire.ts";
import { architectureIn } from "./push.ts";

const Options = z.object({
  store: z.string().optional(),
  list: z.boolean().optional(),
  all: z.boolean().optional(),
  arch: z.string().optional(),
  convert: z.boolean().optional(),
  host: z.string().optional(),
  toStore: z.string().optional(),
  replace: z.boolean().optional(),
  archive: z.string().optional(),
  kind: z.string().optional(),
  size: byteSize.optional(),
  tag: z.array(z.string()).optional(),
  description: z.string().optional(),
});
type Options = z.infer<typeof Options>;
const usage = "drover image import";

export async function importImages(context: Context, [image]: readonly string[], raw: unknown): Promise<number> {
  const options = given(Options, raw);
  const waiting = waitingOf(raw);
  const ways = [image !== undefined, options.list === true, options.all === true].filter(Boolean).length;
  if (ways !== 1) throw usageFault("Name an image, or say --list or --all, one of them.", usage);
  const client = await context.hub();
  const storeId = await sourceOf(client, options.store);
  if (options.list) return listed(context, await archivesIn(client, storeId));
  const convert = options.convert ? await conversion(client, options) : null;
  const common = { storeId, convert, replace: options.replace, onFault: waiting.onFault };
  if (image === undefined) return importAll(context, client, { common, waiting });
  const named = await wantedOf(client, storeId, image, options);
  const body = given(NewImport, { ...common, ...named, archive: toldBy(options) });
  return seeThrough(context, client, { operation: await client.send("POST", "/images/import", Operation, { body }), waiting });
}

async function sourceOf(client: Client, named: string | undefined): Promise<string> {
  if (named !== undefined) return storeIdOf(client, named);
  const found = (await client.list("/stores", Store)).find(({ isDefault }) => isDefault);
  if (found) return found.id;
  throw usageFault("There is no default store: name one with --store.", usage);
}

const archivesIn = async (client: Client, storeId: string): Promise<StoredArchive[]> =>
  client.list(pathOf("stores", storeId, "archives"), Archive);

function listed(context: Context, found: StoredArchive[]): number {
  const words = () =>
    table(
      found,
      [
        { title: "IMAGE", of: ({ catalogId, manifestKey }) => catalogId ?? manifestKey },
        { title: "VERSION", of: ({ version }) => version ?? "" },
        { title: "ARCH", of: ({ architecture }) => architecture ?? "" },
        { title: "SIZE", of: ({ logicalBytes }) => (logicalBytes === null ? "" : size(logicalBytes)), right: true },
        { title: "ARCHIVE", of: ({ packBytes }) => (packBytes === null ? "" : size(packBytes)), right: true },
        { title: "TAGS", of: ({ tags }) => list(tags) },
        { title: "STATE", of: ({ imported, problem }) => problem ?? (imported ? "imported" : "") },
      ],
      "The store holds no images of the Parallels DevOps service.",
    );
  context.show(found, words);
  return exitCodes.done.code;
}

/** One host needs no name. */
async function conversion(client: Client, { host, toStore }: Options) {
  const storeId = toStore === undefined ? undefined : await storeIdOf(client, toStore);
  if (host !== undefined) return { hostId: await hostIdOf(client, host), storeId };
  const [only, ...others] = await client.list("/hosts", Host);
  if (only && others.length === 0) return { hostId: only.id, storeId };
  throw usageFault("Name the host that is to convert with --host.", usage);
}

/** Without an architecture, the one that the store has of this version. */
async function wantedOf(client: Client, storeId: string, image: string, { arch, archive }: Options) {
  const { catalogId, version = "latest", architecture } = imageReference(image);
  const wanted = { catalogId, version, architecture: architectureIn(arch ?? architecture) };
  if (wanted.architecture !== undefined) return wanted;
  if (archive !== undefined) throw usageFault("Name the architecture of the archive with --arch.", usage);
  const same = (a: string | null, b: string) => a?.toLowerCase() === b.toLowerCase();
  const found = (await archivesIn(client, storeId)).filter((one) => same(one.catalogId, catalogId) && same(one.version, version));
  const [only, ...others] = found;
  if (only && others.length === 0 && only.architecture !== null) return { ...wanted, architecture: only.architecture };
  if (only)
    throw usageFault(`The store has ${image} for ${found.map((one) => one.architecture).join(" and ")}: choose with --arch.`, usage);
  throw new FaultError({
    code: "archive_not_found",
    message: `The store holds no ${image} of the Parallels DevOps service.`,
    subject: image,
  });
}

function toldBy({ archive: key, kind, size: logicalBytes, tag: tags, description }: Options) {
  const details = { kind, logicalBytes, tags, description };
  if (key !== undefined) return { key: key.replace(/^\/+/, ""), ...details };
  const stray = Object.entries(details).find(([, value]) => value !== undefined);
  if (!stray) return null;
  throw usageFault("--kind, --size, --tag and --description describe an archive without a manifest: name it with --archive.", usage);
}

interface All {
  readonly common: { readonly storeId: string } & Record<string, unknown>;
  readonly waiting: Waiting;
}

/** One after the other: what limits them is the store, and who watches sees what comes of each. */
async function importAll(context: Context, client: Client, { common, waiting }: All): Promise<number> {
  if (waiting.detach) throw usageFault("With --all each import is waited for, so --detach makes no sense.", usage);
  const found = await archivesIn(client, common.storeId);
  const outcomes: { image: string; state: string; problem: string }[] = [];
  for (const { catalogId, version, architecture, manifestKey, imported, problem } of found) {
    const image = catalogId === null ? manifestKey : `${catalogId}:${version}/${architecture}`;
    if (problem !== null) outcomes.push({ image, state: "refused", problem });
    if (problem !== null || (imported && common["convert"] === null)) continue;
    const body = given(NewImport, { ...common, catalogId, version, architecture });
    const { id: operationId } = await client.send("POST", "/images/import", Operation, { body });
    const { detail } = await awaitOperation(context, client, { operationId, timeoutMs: waiting.timeout });
    outcomes.push({ image, state: detail?.state ?? "running", problem: detail?.fault?.message ?? "" });
  }
  const columns = [
    { title: "IMAGE", of: (one: (typeof outcomes)[number]) => one.image },
    { title: "STATE", of: (one: (typeof outcomes)[number]) => one.state },
    { title: "PROBLEM", of: (one: (typeof outcomes)[number]) => one.problem },
  ];
  context.show(outcomes, () => table(outcomes, columns, "The catalog has everything that the store holds."));
  return (outcomes.every(({ state }) => state === "done") ? exitCodes.done : exitCodes.failed).code;
}
