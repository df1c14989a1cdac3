/** `drover image list|show|delete`. */
import { z } from "zod";
import { imageName } from "../../domain/catalog/rules.ts";
import { ImageReference, type ImageVersion as Version } from "../../domain/catalog/schema.ts";
import { FaultError } from "../../domain/errors.ts";
import { Nothing, pathOf, type Client } from "../client.ts";
import type { Context } from "../context.ts";
import { ago, bytes, list, time } from "../output/format.ts";
import { facts, table } from "../output/table.ts";
import { usageFault } from "../problem.ts";
import { given, wholeNumber } from "../values.ts";
import { ImageVersion } from "../wire.ts";
import { wantedImage } from "./pull.ts";
import { architectureIn } from "./push.ts";

const Filters = z.object({
  version: z.string().optional(),
  arch: z.string().optional(),
  tag: z.string().optional(),
  limit: wholeNumber.optional(),
});

export async function listImages(context: Context, [catalogId]: readonly string[], options: unknown): Promise<void> {
  const { version, arch, tag, limit } = given(Filters, options);
  const client = await context.hub();
  const found = await client.list("/images", ImageVersion, { catalogId, version, architecture: architectureIn(arch), tag }, limit);
  const words = () =>
    table(
      found,
      [
        { title: "IMAGE", of: (image) => image.catalogId },
        { title: "VERSION", of: (image) => image.version },
        { title: "ARCH", of: ({ architecture }) => architecture },
        { title: "SIZE", of: ({ logicalBytes }) => bytes(logicalBytes), right: true },
        { title: "STORED", of: ({ storedBytes }) => bytes(storedBytes), right: true },
        { title: "TAGS", of: ({ tags }) => list(tags) },
        { title: "STATE", of: markOf },
        { title: "PUSHED", of: ({ createdAt }) => ago(createdAt) },
      ],
      "No images.",
    );
  context.show(found, words);
}

export async function showImage(context: Context, [image = ""]: readonly string[]): Promise<void> {
  const found = await oneImage(await context.hub(), image);
  context.show(found, () => describe(found));
}

export async function deleteImage(context: Context, [image = ""]: readonly string[]): Promise<void> {
  const client = await context.hub();
  const found = await oneImage(client, image);
  await client.send("DELETE", pathOf("images", found.catalogId, found.version, found.architecture), Nothing);
  context.show({ deleted: imageName(found) }, () => `Deleted ${imageName(found)}.`);
}

/** The version that is meant: a name that fits several says so instead of choosing. */
export async function oneImage(client: Client, text: string): Promise<Version> {
  const { catalogId, version, architecture } = given(ImageReference, wantedImage(text, undefined));
  if (version !== undefined && architecture !== undefined)
    return client.get(pathOf("images", catalogId, version, architecture), ImageVersion);
  const found = await client.list("/images", ImageVersion, { catalogId, version, architecture });
  const fitting = found.filter((one) => one.catalogId === catalogId && (version === undefined || one.version === version));
  const [only, ...others] = fitting;
  if (only === undefined)
    throw new FaultError({ code: "image_not_found", message: `There is no image ${text}, or you may not see it.`, subject: text });
  if (others.length > 0)
    throw usageFault(`${text} may be any of ${fitting.map(imageName).join(", ")}: name one of them.`, "drover image list");
  return only;
}

const markOf = ({ revokedAt, taintedAt, damagedAt }: Version): string =>
  [revokedAt ? "revoked" : taintedAt ? "tainted" : "", damagedAt ? "damaged" : ""].filter(Boolean).join(", ");

function describe(image: Version): string {
  return facts([
    ["image", imageName(image)],
    ["description", image.description],
    ["tags", list(image.tags)],
    ["kind", image.kind],
    ["guest", image.guestOs],
    [
      "size",
      `${bytes(image.logicalBytes)}, ${bytes(image.allocatedBytes)} on disk, ${bytes(image.storedBytes)} stored, ${bytes(image.newBytes)} new`,
    ],
    ["machine", [image.vcpus === null ? "" : `${image.vcpus} vCPU`, bytes(image.memoryBytes)].filter(Boolean).join(", ")],
    [
      "needs",
      image.minimum && `${image.minimum.vcpus} vCPU, ${bytes(image.minimum.memoryBytes)} memory, ${bytes(image.minimum.diskBytes)} disk`,
    ],
    ["ready when", image.probe.kind === "tcp" ? `port ${image.probe.port} answers` : image.probe.kind],
    ["roles", list(image.requiredRoles)],
    ["claims", list(image.requiredClaims)],
    ["state", markOf(image)],
    ["damage", image.damagedAt && `since ${time(image.damagedAt)}: ${image.damage ?? ""}`],
    ["digest", image.digest],
    ["store", image.storeId],
    ["pushed", `${time(image.createdAt)} by ${image.createdBy}`],
    ["downloads", image.downloads],
  ]);
}
