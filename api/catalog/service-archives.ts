/**
 * Archives for a Parallels DevOps service that pulls from this catalog: told as a repository of its own, of which it is given a key.
 *
 * The one idea: that service fetches from wherever a manifest says, with the credentials that stand in it. So the manifest that it is handed names this hub,
 * in the form of a provider that the service knows (Artifactory: plain HTTP, ranges, one header), and a key that opens one archive and nothing else; places
 * and credentials of stores stay here.
 */
import { createRoute } from "@hono/zod-openapi";
import type { Context } from "hono";
import { z } from "zod";
import { findImageById } from "../../db/images.ts";
import { holds } from "../../domain/access/rules.ts";
import type { Actor } from "../../domain/access/schema.ts";
import { imageName, mayPull, maySee } from "../../domain/catalog/rules.ts";
import type { ImageVersion } from "../../domain/catalog/schema.ts";
import { FaultError, unwrap } from "../../domain/errors.ts";
import { faults, type ApiEnv } from "../http.ts";
import { actorAgain } from "../middleware/authenticate.ts";
import type { Hub, KeptArchive } from "../ports.ts";
import { routesOf } from "../route.ts";
import { refusal } from "../wire/errors.ts";
import { streamOf } from "./archive-stream.ts";
import { nameOf } from "./wire.ts";

/** What such a service says that it is. Its value is no proof of anything, so it opens nothing by itself. */
export const isService = (c: Context): boolean => c.req.header("X-Internal-Api-Client")?.toLowerCase() === "true";

/** Where a service finds the archive, as the manifest's provider. */
export async function placeFor(hub: Hub, c: Context<ApiEnv>, actor: Actor, image: ImageVersion) {
  if (!holds(actor, "PULL_CATALOG_MANIFEST")) throw refusal(403, "error 403: this user lacks the claim PULL_CATALOG_MANIFEST");
  const archive = await hub.keptArchive(image);
  if (!(await archive?.isThere())) {
    const words = `${imageName(image)} is not kept as this service reads it: write it so with \`drover image export\`, and pull again`;
    throw refusal(400, `error 400: ${words}`);
  }
  const { token } = await hub.archiveRights.issue({ image: image.id, user: actor.userId, key: actor.apiKeyId ?? "" });
  return { type: "artifactory", meta: { url: `${addressOf(c)}${hub.settings.prefix}/v2/archives`, repo: image.id, access_key: token } };
}

/** As the client wrote it, so it reaches us again. */
function addressOf(c: Context<ApiEnv>): string {
  const { protocol, host } = new URL(c.req.url);
  return `${c.req.header("X-Forwarded-Proto")?.toLowerCase() === "https" ? "https:" : protocol}//${host}`;
}

/** That service looks for its repositories below a folder of this name. */
const path = "/archives/artifactory/{image}/{catalogId}/{file}";
const tokenHeader = "X-JFrog-Art-Api";

export function serviceArchives(hub: Hub) {
  const get = createRoute({
    method: "get",
    path,
    operationId: "readServiceArchive",
    summary: "Read an archive or its manifest, as the Parallels DevOps service reads a repository",
    tags: ["images"],
    request: {
      params: z.object({ image: z.uuid(), catalogId: z.string().max(300), file: z.string().max(600) }),
      headers: z.object({ range: z.string().max(100).optional(), [tokenHeader.toLowerCase()]: z.string().max(4096).optional() }),
    },
    responses: {
      200: {
        description: "The file, or the part of it that was asked for (206).",
        content: { "application/octet-stream": { schema: z.string().meta({ format: "binary" }) } },
      },
      206: {
        description: "A part of the file.",
        content: { "application/octet-stream": { schema: z.string().meta({ format: "binary" }) } },
      },
      ...faults("image_not_found", "image_tainted", "image_revoked", "store_object_missing", "store_unavailable", "store_denied"),
    },
  });
  return routesOf().openapi(get, async (c) => {
    const { image: id, file } = c.req.valid("param");
    const image = await opened(hub, c, id);
    const archive = await hub.keptArchive(image);
    const name = nameOf(image);
    if (!archive || ![`${name}.pdpack`, `${name}.meta`].includes(file)) throw notFound(id);
    const signal = AbortSignal.any([c.req.raw.signal, hub.closing]);
    return file.endsWith(".meta") ? manifestAnswer(c, archive, signal) : packAnswer(c, image, archive, signal);
  });
}

/** The image that the token is for, if whoever asked for it may still have it. */
async function opened(hub: Hub, c: Context<ApiEnv>, id: string): Promise<ImageVersion> {
  const { about } = await hub.archiveRights.verify(c.req.header(tokenHeader) ?? "").catch((error: unknown) => {
    hub.rates.stranger(c);
    throw error;
  });
  const actor = await actorAgain(hub, { userId: about.user, apiKeyId: about.key === "" ? null : about.key });
  const found = await findImageById(hub.db, about.image);
  if (about.image !== id || !actor || !holds(actor, "PULL_CATALOG_MANIFEST") || !found.ok) throw notFound(id);
  const image = found.value;
  if (image.project !== actor.project || !maySee(image, { ...actor, everything: actor.isSuperUser })) throw notFound(id);
  unwrap(mayPull(image));
  return image;
}

async function manifestAnswer(c: Context<ApiEnv>, archive: KeptArchive, signal: AbortSignal): Promise<Response> {
  const bytes = new Uint8Array(await archive.manifest(signal));
  return answered(c, bytes.byteLength, {}, async ({ offsetBytes, lengthBytes }) => bytes.subarray(offsetBytes, offsetBytes + lengthBytes));
}

function packAnswer(c: Context<ApiEnv>, image: ImageVersion, archive: KeptArchive, signal: AbortSignal): Promise<Response> {
  // That service names what it caches by this header and never looks whether it is true: where nobody measured the sum, the content's name is as good.
  const mark = { "X-Checksum-Md5": archive.md5 ?? image.digest.slice(0, 32) };
  return answered(c, archive.packBytes, mark, async (range) => streamOf(await archive.read(range, signal)));
}

type Range = { readonly offsetBytes: number; readonly lengthBytes: number };
type Body = ReadableStream<Uint8Array<ArrayBuffer>> | Uint8Array<ArrayBuffer>;

/** With its length always: that service takes a part without one for the last. */
async function answered(
  c: Context<ApiEnv>,
  bytes: number,
  mark: Readonly<Record<string, string>>,
  read: (range: Range) => Promise<Body>,
): Promise<Response> {
  const range = rangeOf(c.req.header("Range"), bytes);
  if (range === "outside") return c.body(null, 416, { "Content-Range": `bytes */${bytes}` });
  const { offsetBytes, lengthBytes } = range ?? { offsetBytes: 0, lengthBytes: bytes };
  const headers: Record<string, string> = {
    ...mark,
    "Content-Type": "application/octet-stream",
    "Accept-Ranges": "bytes",
    "Content-Length": String(lengthBytes),
    ...(range && lengthBytes > 0 ? { "Content-Range": `bytes ${offsetBytes}-${offsetBytes + lengthBytes - 1}/${bytes}` } : {}),
  };
  const isEmpty = c.req.method === "HEAD" || lengthBytes === 0;
  return new Response(isEmpty ? null : await read({ offsetBytes, lengthBytes }), { status: range && lengthBytes > 0 ? 206 : 200, headers });
}

/** One range; what is no such thing reads the whole. That service asks for a part more where a file ends with a part of its: that one is empty. */
function rangeOf(header: string | undefined, bytes: number): Range | null | "outside" {
  const [, from, to] = /^bytes=(\d{1,15})-(\d{0,15})$/.exec(header ?? "") ?? [];
  if (from === undefined) return null;
  const offsetBytes = Number(from);
  const last = Math.min(to === undefined || to === "" ? bytes - 1 : Number(to), bytes - 1);
  if (offsetBytes === bytes) return { offsetBytes, lengthBytes: 0 };
  return offsetBytes > last ? "outside" : { offsetBytes, lengthBytes: last - offsetBytes + 1 };
}

const notFound = (id: string) => new FaultError({ code: "image_not_found", message: `There is no image ${id}.`, subject: id });
