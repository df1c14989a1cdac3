/** What `prlsrvctl` and `prlctl --version` tell of the host. */
import { z } from "zod";
import { jsonIn, unreadable } from "./json.ts";

export interface ServerInfo {
  readonly hostName: string;
  readonly os: string;
  /** `20.2.0-55872`. */
  readonly version: string;
  /** Where new machines go unless a folder is named. */
  readonly vmHome: string | null;
  readonly hardwareId: string | null;
  readonly licence: { readonly state: string; readonly valid: boolean };
}

const text = z.string().catch("");
const Server = z.looseObject({
  Hostname: text,
  OS: text,
  Version: text,
  "VM home": text,
  "Hardware Id": text,
  License: z.looseObject({ state: text }).catch({ state: "" }),
});

export function parseServerInfo(output: string): ServerInfo {
  const server = Server.safeParse(jsonIn(output, "prlsrvctl info"));
  if (!server.success) throw unreadable("prlsrvctl info", output, server.error);
  const { Hostname, OS, Version, License } = server.data;
  return {
    hostName: Hostname,
    os: OS,
    version: Version.replace(/^Desktop\s+/, ""),
    vmHome: server.data["VM home"].replace(/\/+$/, "") || null,
    hardwareId: server.data["Hardware Id"].replace(/[{}]/g, "").toLowerCase() || null,
    licence: { state: License.state || "unknown", valid: License.state === "valid" },
  };
}

export interface Version {
  readonly name: string;
  readonly build: string | null;
}

export function parseVersion(output: string): Version {
  const [, name, build] = /prlctl version (\d+(?:\.\d+)+)(?:\s*\((\d+)\))?/.exec(output) ?? [];
  if (name === undefined) throw unreadable("prlctl --version", output);
  return { name, build: build ?? null };
}
