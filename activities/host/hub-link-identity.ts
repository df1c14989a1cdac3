/**
 * Who this host is: the file that enrolment writes, and all that a host knows of its hub.
 *
 * The one idea: written aside with mode 0600 and renamed, so the key is never readable by others and never half there.
 */
import { mkdir, open, readFile, rename } from "node:fs/promises";
import { dirname } from "node:path";
import { z } from "zod";
import { FaultError } from "../../domain/errors.ts";
import { HostId, Uuid } from "../../domain/ids.ts";

export const HostIdentity = z.object({
  hubUrl: z.url({ protocol: /^https$/ }),
  hubId: Uuid,
  hostId: HostId,
  name: z.string(),
  authority: z.string().startsWith("-----BEGIN CERTIFICATE-----"),
  grpcAddress: z.string(),
  namespace: z.string(),
  privateKey: z.object({ kty: z.literal("OKP"), crv: z.literal("Ed25519"), x: z.string(), d: z.string() }),
});
export type HostIdentity = z.infer<typeof HostIdentity>;

export async function readIdentity(path: string): Promise<HostIdentity> {
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw unusable(`${path} cannot be read: this computer is not enrolled. Run \`drover host enrol <url> <token>\``, cause);
  });
  try {
    return HostIdentity.parse(JSON.parse(text));
  } catch (cause) {
    throw unusable(`${path} is damaged: enrol this computer anew with --replace`, cause);
  }
}

export async function writeIdentity(path: string, identity: HostIdentity): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const aside = `${path}.${process.pid}`;
  const file = await open(aside, "w", 0o600);
  try {
    await file.chmod(0o600);
    await file.writeFile(`${JSON.stringify(identity, null, 2)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(aside, path);
}

const unusable = (message: string, cause: unknown) =>
  new FaultError({ code: "configuration_invalid", message: `The identity file ${message}.` }, { cause });
