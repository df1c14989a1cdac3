/** `drover image tag|untag|edit|taint|untaint|revoke`. */
import { z } from "zod";
import { imageName } from "../../domain/catalog/rules.ts";
import type { ImageVersion as Version } from "../../domain/catalog/schema.ts";
import { pathOf } from "../client.ts";
import type { Context } from "../context.ts";
import { list } from "../output/format.ts";
import { usageFault } from "../problem.ts";
import { byteSize, given, wholeNumber } from "../values.ts";
import { ImageVersion } from "../wire.ts";
import { oneImage } from "./images.ts";

const at = ({ catalogId, version, architecture }: Version, ...more: string[]): string =>
  pathOf("images", catalogId, version, architecture, ...more);

export async function tagImage(context: Context, [image = "", tag = ""]: readonly string[]): Promise<void> {
  const client = await context.hub();
  const changed = await client.send("PUT", at(await oneImage(client, image), "tags", tag), ImageVersion);
  context.show(changed, () => `${imageName(changed)} has the tags ${list(changed.tags)}.`);
}

export async function untagImage(context: Context, [image = "", tag = ""]: readonly string[]): Promise<void> {
  const client = await context.hub();
  const changed = await client.send("DELETE", at(await oneImage(client, image), "tags", tag), ImageVersion);
  const tags = changed.tags.length === 0 ? "no tags" : `the tags ${list(changed.tags)}`;
  context.show(changed, () => `${imageName(changed)} has ${tags}.`);
}

const words = z.array(z.string().min(1)).optional();
const Edit = z.object({
  description: z.string().optional(),
  role: words,
  claim: words,
  open: z.boolean().default(false),
  minCpus: wholeNumber.optional(),
  minMemory: byteSize.optional(),
  minDisk: byteSize.optional(),
});

export async function editImage(context: Context, [image = ""]: readonly string[], raw: unknown): Promise<void> {
  const { description, role, claim, open, minCpus: vcpus, minMemory: memoryBytes, minDisk: diskBytes } = given(Edit, raw);
  if (open && (role ?? claim)) throw usageFault("Say either --open or which roles and claims there are.", "drover image edit");
  const client = await context.hub();
  const found = await oneImage(client, image);
  const asked = [vcpus, memoryBytes, diskBytes].some((value) => value !== undefined);
  const least = {
    vcpus: vcpus ?? found.minimum?.vcpus ?? 1,
    memoryBytes: memoryBytes ?? found.minimum?.memoryBytes ?? 1,
    diskBytes: diskBytes ?? found.minimum?.diskBytes ?? 0,
  };
  const body = {
    ...(description === undefined ? {} : { description }),
    ...(open ? { requiredRoles: [], requiredClaims: [] } : {}),
    ...(role ? { requiredRoles: role } : {}),
    ...(claim ? { requiredClaims: claim } : {}),
    ...(asked ? { minimum: least } : {}),
  };
  if (Object.keys(body).length === 0) throw usageFault("Say what is to be otherwise.", "drover image edit");
  const changed = await client.send("PATCH", at(found), ImageVersion, { body });
  context.show(changed, () => `Changed ${imageName(changed)}.`);
}

const mark = (word: "taint" | "untaint" | "revoke", told: string) =>
  async function markImage(context: Context, [image = ""]: readonly string[]): Promise<void> {
    const client = await context.hub();
    const changed = await client.send("POST", at(await oneImage(client, image), word), ImageVersion);
    context.show(changed, () => `${imageName(changed)} ${told}.`);
  };

export const taintImage = mark("taint", "is tainted: nobody gets it until the taint is removed");
export const untaintImage = mark("untaint", "is handed out again");
export const revokeImage = mark("revoke", "is revoked for good");
