/**
 * `drover push`: a bundle on a host is pushed by that host; one on this computer by this process.
 *
 * The one idea: both are the same operation; without a host this process does its part of the work until the operation settles.
 */
import { access } from "node:fs/promises";
import { homedir } from "node:os";
import { resolve } from "node:path";
import { z } from "zod";
import { architectureOf } from "../../domain/catalog/rules.ts";
import { NewImageVersion } from "../../domain/catalog/schema.ts";
import { FaultError } from "../../domain/errors.ts";
import type { Context } from "../context.ts";
import { hostIdOf, storeIdOf } from "../names.ts";
import { seeThrough, waitingOf } from "../operations/start.ts";
import { usageFault } from "../problem.ts";
import { given } from "../values.ts";
import { Operation } from "../wire.ts";
import { pushFromHere } from "./push-from-here.ts";

/** What every push is told of the version that it makes, to whichever catalog. */
export const VersionOptions = z.object({
  version: z.string().optional(),
  arch: z.string().optional(),
  tag: z.array(z.string()).optional(),
  description: z.string().optional(),
  role: z.array(z.string()).optional(),
  claim: z.array(z.string()).optional(),
  replace: z.boolean().optional(),
  host: z.string().optional(),
});
const Options = VersionOptions.extend({ store: z.string().optional(), verify: z.boolean().optional() });

export async function push(context: Context, [bundle = "", catalogId = ""]: readonly string[], raw: unknown): Promise<number> {
  const options = given(Options, raw);
  const waiting = waitingOf(raw);
  const leaves = waiting.detach ? "--detach" : waiting.timeout === undefined ? null : "--timeout";
  if (leaves !== null && options.host === undefined) {
    throw usageFault(`A bundle on this computer is sent from here until it is there, so ${leaves} needs --host.`, "drover push");
  }
  const path = options.host === undefined ? await ownBundle(context, bundle) : bundle;
  const { verify } = options;
  const checked = given(NewImageVersion, { path, catalogId, ...versionIn(options), verify, onFault: waiting.onFault });

  const client = await context.hub();
  const hostId = options.host === undefined ? null : await hostIdOf(client, options.host);
  const storeId = options.store === undefined ? undefined : await storeIdOf(client, options.store);
  const operation = await client.send("POST", "/images", Operation, { body: { ...checked, hostId, storeId } });
  return hostId === null ? pushFromHere(context, client, { operation, waiting }) : seeThrough(context, client, { operation, waiting });
}

export const versionIn = ({ version, arch, tag, description, role, claim, replace }: z.infer<typeof VersionOptions>) => ({
  version,
  architecture: architectureIn(arch),
  tags: tag,
  description,
  requiredRoles: role,
  requiredClaims: claim,
  replace,
});

/** Other names of the same thing are taken; an unknown one is left for the schema to refuse. */
export const architectureIn = (word: string | undefined): string | undefined =>
  word === undefined ? undefined : (architectureOf(word) ?? word);

async function ownBundle({ folder }: Context, bundle: string): Promise<string> {
  const path = resolve(folder, bundle.replace(/^~(?=\/)/, homedir()));
  await access(path).catch((cause: unknown) => {
    throw new FaultError(
      {
        code: "bundle_not_found",
        message: `There is no bundle ${path} on this computer.`,
        details: { remedy: "Name a folder that ends in .pvm or .macvm, or the host that has it with --host." },
      },
      { cause },
    );
  });
  return path;
}
