/**
 * The wire's import: a version that lies in a store already, with its manifest or without one.
 *
 * The one idea: what that service does in a few milliseconds is an operation here, waited for; the archive stays where it is, and its bytes are looked at when a host
 * first pulls it.
 */
import { z } from "zod";
import { findImage } from "../../db/images.ts";
import { NewImport } from "../../domain/catalog/archives.ts";
import { architectureOf, normalise } from "../../domain/catalog/rules.ts";
import { FaultError, unwrap, type Code } from "../../domain/errors.ts";
import { finished } from "../machines/act.ts";
import { wordIn } from "../operations/wire.ts";
import type { Hub } from "../ports.ts";
import { refusal } from "../wire/errors.ts";
import type { Call, Mount } from "../wire/mount.ts";
import { storeIn } from "./connection.ts";

const tag = "catalog";
const text = z.string().default("");
const listOfWords = z.array(z.string()).default([]);
const megabyte = 1024 * 1024;

const asked = { catalog_id: text, version: text, architecture: text, connection: text };
const ImportCatalogManifestRequest = z.object(asked).meta({ id: "ImportCatalogManifestRequest" });
const ImportCatalogManifestResponse = z.object({ id: z.string().optional() }).meta({ id: "ImportCatalogManifestResponse" });
const ImportVmRequest = z
  .object({
    ...asked,
    description: text,
    type: text,
    size: z.int().nonnegative().default(0),
    force: z.boolean().default(false),
    machine_remote_path: text,
    tags: listOfWords,
    required_claims: listOfWords,
    required_roles: listOfWords,
  })
  .meta({ id: "ImportVmRequest" });
type ImportVmRequest = z.output<typeof ImportVmRequest>;
const ImportVmResponse = z.object({ id: z.string().optional() }).meta({ id: "ImportVmResponse" });

export function importWireRoutes(hub: Hub, mount: Mount): void {
  const needs = { claims: ["PUSH_CATALOG_MANIFEST"] } as const;
  mount(
    "put",
    "/catalog/import",
    "Import a version that lies in a store already",
    { tag, needs, status: 200, body: ImportCatalogManifestRequest, reply: ImportCatalogManifestResponse },
    async (call) => imported(hub, call, { archive: null, replace: false, what: "manifest" }),
  );
  mount(
    "put",
    "/catalog/import-vm",
    "Import an archive that lies in a store without a manifest",
    { tag, needs, status: 200, body: ImportVmRequest, reply: ImportVmResponse },
    async (call) => {
      checkNames(call.body);
      return imported(hub, call, { archive: toldBy(call.body), replace: call.body.force, what: "vm" });
    },
  );
}

type Asked = z.output<typeof ImportCatalogManifestRequest>;
interface How {
  readonly archive: z.input<typeof NewImport>["archive"];
  readonly replace: boolean;
  readonly what: "manifest" | "vm";
}

const missing = (what: string) => refusal(400, `Invalid request body: error 400: missing ${what}`);

function checkNames({ catalog_id, version, connection, architecture }: Asked): void {
  if (catalog_id === "") throw missing("catalog id");
  if (version === "") throw missing("version");
  if (connection === "") throw missing("connection");
  if (architecture === "") throw missing("architecture");
}

function toldBy({ machine_remote_path: path, size, type, description, ...words }: ImportVmRequest): How["archive"] {
  if (path === "") throw missing("machine remote path");
  if (size === 0) throw missing("size");
  const kind = /^\.?macvm$/i.test(type) ? "macvm" : "pvm";
  const { tags, required_claims: requiredClaims, required_roles: requiredRoles } = words;
  return { key: path.replace(/^\/+/, ""), kind, logicalBytes: size * megabyte, description, tags, requiredClaims, requiredRoles };
}

/** Answers the version's id. */
export async function imported(hub: Hub, call: Call<Asked>, { archive, replace, what }: How): Promise<{ id: string }> {
  const { body, actor } = call;
  checkNames(body);
  const named = storeIn(body.connection);
  if (!named) throw refusal(400, `Error importing ${what}: the connection names no provider`);
  const store = unwrap(await hub.stores.add({ ...named, readOnly: "where refused" }, actor));
  const wanted = NewImport.safeParse({
    storeId: store.id,
    catalogId: normalise(body.catalog_id),
    version: normalise(body.version),
    architecture: architectureOf(body.architecture) ?? body.architecture,
    archive,
    replace,
    onFault: "fail",
  });
  if (!wanted.success) throw refusal(400, `Invalid request body: ${wanted.error.issues.map(({ message }) => message).join("; ")}`);
  const { catalogId, version, architecture } = wanted.data;
  const name = `${catalogId}-${architecture}-${version}`;
  const known = await findImage(hub.db, actor.project, { catalogId, version, architecture });
  if (known.ok && !replace) throw failed(what, `error: Catalog manifest already exists: ${name}`);
  try {
    const done = await finished(hub, call, await hub.operations.import(wanted.data, call.asked));
    return { id: wordIn(done.result, "imageVersionId") ?? "" };
  } catch (error) {
    if (!(error instanceof FaultError)) throw error;
    const { code, message } = error.fault;
    if (code === "archive_not_found" && what === "manifest") throw failed(what, `error: meta file ${catalogId} does not exist`);
    throw callersOwn.has(code) ? failed(what, message) : error;
  }
}

/** What whoever asked can mend; the contract answers all of it with 400. */
const callersOwn: ReadonlySet<Code> = new Set(["archive_not_found", "archive_invalid", "image_exists"]);

const failed = (what: string, why: string) => refusal(400, `Error importing ${what}: \n\n${why} `);
