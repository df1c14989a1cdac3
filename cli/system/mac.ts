/**
 * What `drover doctor` looks at on a Mac only, as judgements over what was gathered there. Pure.
 *
 * The one idea: the tools' own answers are judged as they came, so each check is tried on samples of them; what could not be read is told apart from what is wrong.
 */
import { z } from "zod";
import { bytes } from "../output/format.ts";
import type { MacFacts } from "../parts.ts";
import type { Finding } from "./doctor.ts";

const works = (found: string): Finding => ({ verdict: "works", found });
const absent = (found: string, remedy: string): Finding => ({ verdict: "absent", found, remedy });
const broken = (found: string, remedy: string): Finding => ({ verdict: "broken", found, remedy });

export interface MacCheck {
  readonly name: string;
  readonly judge: (facts: MacFacts) => Finding;
}

/** From this release on macOS asks for each program of a login session whether it may reach the local network. */
const asksSince = 15;

/** No tool tells whether the permission was given, but who runs the worker tells whether it is asked for at all. */
export function localNetwork({ osVersion, service }: Pick<MacFacts, "osVersion" | "service">): Finding {
  if (Number.parseInt(osVersion, 10) < asksSince) return works(`macOS ${osVersion} asks for no permission`);
  if (service === "daemon") return works("the worker is a daemon of launchd, which needs no permission");
  if (service === "agent")
    return broken(
      "the worker is an agent of a login session: machines may be out of its reach without a word",
      "Remove that agent and run `sudo drover host install`, or allow it in System Settings, Privacy & Security, Local Network.",
    );
  return absent(
    "no service: a worker started by hand may do what the terminal may",
    "`sudo drover host install` makes it a daemon of launchd, which needs no permission.",
  );
}

const Licence = z.looseObject({ status: z.string().optional(), edition: z.string().optional(), expiration: z.string().optional() });
/** Others have no command line. */
const editions = new Set(["pro", "business", "enterprise", "any"]);

export function licence({ licence: text }: Pick<MacFacts, "licence">): Finding {
  const remedy = "Activate a licence of the Pro, Business or Enterprise edition: `prlsrvctl install-license --key <key>`.";
  if (text !== null && /no licenses installed/i.test(text)) return broken("none is installed", remedy);
  const told = Licence.safeParse(fromJson(text));
  if (!told.success) return unread("the licence", "prlsrvctl info --license --json");
  const { status = "unknown", edition = "unknown", expiration } = told.data;
  const words = `${edition}, ${status.toLowerCase()}${expiration ? `, until ${expiration}` : ""}`;
  return status.toUpperCase() === "ACTIVE" && editions.has(edition.toLowerCase()) ? works(words) : broken(words, remedy);
}

const Prompts = z.looseObject({ "Require password to": z.array(z.string()).default([]) });

/** Nobody sits before the Mac to type it in. */
export function adminPrompts({ server }: Pick<MacFacts, "server">): Finding {
  const told = Prompts.safeParse(fromJson(server));
  if (!told.success) return unread("what asks for a password", "prlsrvctl info --json");
  const asks = told.data["Require password to"];
  if (asks.length === 0) return works("nothing asks for an administrator's password");
  const off = ["create-vm", "add-vm", "remove-vm", "clone-vm"].map((act) => `--require-pwd ${act}:off`).join(" ");
  return broken(`an administrator's password is asked for to ${asks.join(", ")}`, `\`prlsrvctl set ${off}\``);
}

/** Below it macOS begins to purge and machines to pause; a clone that grows takes the rest within minutes. */
const leastFree = { bytes: 20 * 1024 ** 3, share: 0.1 };

export function diskPressure({ disk }: Pick<MacFacts, "disk">): Finding {
  if (disk === null) return unread("the machines' disk", "df");
  const { freeBytes, totalBytes, folder } = disk;
  const words = `${bytes(freeBytes)} of ${bytes(totalBytes)} free for ${folder}`;
  const enough = freeBytes >= leastFree.bytes && freeBytes >= leastFree.share * totalBytes;
  return enough
    ? works(words)
    : broken(words, "`drover cache prune --host <host>` frees what nobody uses; retire machines, or lower the cache's limit.");
}

const Scope = z.looseObject({
  "DHCPv4 server": z.looseObject({ "IP scope start address": z.ipv4(), "IP scope end address": z.ipv4() }),
});
/** A machine that finds no address waits until a lease ends: half an hour, as Parallels Desktop sets it out. */
const nearlyAll = 0.9;

/** Fresh machines have fresh network addresses, so each takes a lease that outlives it. */
export function dhcpLeases({ leases, sharedNetwork, nowMs }: Pick<MacFacts, "leases" | "sharedNetwork" | "nowMs">): Finding {
  if (leases === null) return absent("no lease was given out yet", "Look again once a machine has run.");
  const scope = Scope.safeParse(fromJson(sharedNetwork));
  if (!scope.success) return unread("the shared network's addresses", "prlsrvctl net info Shared --json");
  const { "IP scope start address": start, "IP scope end address": end } = scope.data["DHCPv4 server"];
  const [first, last] = [numberOf(start), numberOf(end)];
  const size = last - first + 1;
  const taken = new Set(
    leasesOf(leases)
      .filter(({ address, untilMs }) => untilMs > nowMs && address >= first && address <= last)
      .map(({ address }) => address),
  ).size;
  const words = `${taken} of ${size} addresses of the shared network (${start} to ${end}) are taken`;
  if (size > 0 && taken < nearlyAll * size) return works(words);
  return broken(
    words,
    "Widen it: `prlsrvctl net set Shared --ip-scope-start <address> --ip-scope-end <address>`; leases of machines that are gone end by themselves.",
  );
}

/** Lines are `address="end,length,hardware address,client"`, in seconds; whatever else stands there is not a lease. */
function leasesOf(text: string): Array<{ address: number; untilMs: number }> {
  return [...text.matchAll(/^\s*(\d+\.\d+\.\d+\.\d+)\s*=\s*"(\d+),/gm)].map(([, address = "", until = "0"]) => ({
    address: numberOf(address),
    untilMs: Number(until) * 1000,
  }));
}

const numberOf = (address: string): number => address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);

function fromJson(text: string | null): unknown {
  try {
    return text === null ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}

const unread = (what: string, command: string): Finding =>
  absent(`${what} could not be read`, `\`${command}\` should answer; see whether Parallels Desktop runs.`);

export const macChecks: readonly MacCheck[] = [
  { name: "local network", judge: localNetwork },
  { name: "licence", judge: licence },
  { name: "passwords", judge: adminPrompts },
  { name: "machines' disk", judge: diskPressure },
  { name: "addresses", judge: dhcpLeases },
];
