/** `drover pull`: brings an image into a host's cache. */
import { z } from "zod";
import { ImageReference } from "../../domain/catalog/schema.ts";
import { pathOf } from "../client.ts";
import type { Context } from "../context.ts";
import { hostIdOf } from "../names.ts";
import { seeThrough, waitingOf } from "../operations/start.ts";
import { usageFault } from "../problem.ts";
import { given, imageReference } from "../values.ts";
import { Operation } from "../wire.ts";
import { architectureIn } from "./push.ts";

const Options = z.object({ host: z.string().optional(), arch: z.string().optional() });

export async function pull(context: Context, [image = ""]: readonly string[], raw: unknown): Promise<number> {
  const { host, arch } = given(Options, raw);
  const waiting = waitingOf(raw);
  if (host === undefined) throw usageFault("Name the host that is to have the image with --host.", "drover pull");
  const reference = given(ImageReference, wantedImage(image, arch));
  const client = await context.hub();
  const hostId = await hostIdOf(client, host);
  const body = { ...reference, onFault: waiting.onFault };
  const operation = await client.send("POST", `${pathOf("hosts", hostId)}/images`, Operation, { body });
  return seeThrough(context, client, { operation, waiting });
}

/** The architecture may stand in the name or in an option. */
export function wantedImage(image: string, arch: string | undefined) {
  const named = imageReference(image);
  return { ...named, architecture: architectureIn(arch ?? named.architecture) };
}
