/** Makes this computer a host: says what it is, gets its id for a key that never leaves it, and keeps both in one file. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { hostFacts } from "../activities/host/facts.ts";
import { enrol, writeIdentity } from "../activities/host/hub-link.ts";
import { openParallels } from "./parallels.ts";
import type { Running } from "./process.ts";

export async function enrolHere(
  { config, log }: Pick<Running, "config" | "log">,
  { url, token, replace }: { url: string; token: string; replace: boolean },
): Promise<{ name: string; hostId: string; identityFile: string }> {
  await mkdir(config.home, { recursive: true });
  const facts = await hostFacts(await openParallels(config, log));
  const identity = await enrol({ url, token, facts, replace });
  const identityFile = join(config.home, "identity.json");
  await writeIdentity(identityFile, identity);
  return { name: identity.name, hostId: identity.hostId, identityFile };
}
