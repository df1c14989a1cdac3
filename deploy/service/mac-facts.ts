/**
 * What a Mac says of itself, for `drover doctor`: the answers of its tools and files, as they came.
 *
 * The one idea: what cannot be had is null and keeps nothing else from being told; nothing here judges.
 */
import { execFile } from "node:child_process";
import { access, readFile, statfs } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { MacFacts } from "../../cli/parts.ts";
import { parseServerInfo } from "../../parallels/parse/server.ts";
import { label } from "./files.ts";

const leasesFile = "/Library/Preferences/Parallels/parallels_dhcp_leases";
/** The check as a whole has ten seconds. */
const answerLimitMs = 8_000;

/** `home`: where machines lie when Parallels Desktop does not say it. */
export async function macFacts(prlsrvctl: string | null, home: string): Promise<MacFacts> {
  const ask = (...args: string[]) => (prlsrvctl === null ? Promise.resolve(null) : said(prlsrvctl, args));
  const [osVersion, server, licence, sharedNetwork, leases, service] = await Promise.all([
    said("/usr/bin/sw_vers", ["-productVersion"]),
    ask("info", "--json"),
    ask("info", "--license", "--json"),
    ask("net", "info", "Shared", "--json"),
    readFile(leasesFile, "utf8").catch(() => null),
    serviceKind(),
  ]);
  const disk = await diskOf(folderOf(server) ?? home);
  return { osVersion: osVersion?.trim() ?? "", server, licence, sharedNetwork, leases, disk, service, nowMs: Date.now() };
}

const said = (program: string, args: readonly string[]): Promise<string | null> =>
  promisify(execFile)(program, [...args], { timeout: answerLimitMs }).then(
    ({ stdout }) => stdout,
    () => null,
  );

function folderOf(server: string | null): string | null {
  try {
    return server === null ? null : parseServerInfo(server).vmHome;
  } catch {
    return null;
  }
}

async function diskOf(folder: string): Promise<MacFacts["disk"]> {
  const found = await statfs(folder).catch(() => null);
  return found && { folder, freeBytes: found.bavail * found.bsize, totalBytes: found.blocks * found.bsize };
}

async function serviceKind(): Promise<MacFacts["service"]> {
  const file = `${label}.plist`;
  const isThere = (folder: string) =>
    access(join(folder, file)).then(
      () => true,
      () => false,
    );
  if (await isThere("/Library/LaunchDaemons")) return "daemon";
  const agents = await Promise.all(["/Library/LaunchAgents", join(homedir(), "Library/LaunchAgents")].map(isThere));
  return agents.includes(true) ? "agent" : null;
}
