/** What the simulated Mac says of itself: `prlsrvctl info`, its licence, users and networks. */
import { parseArguments } from "./arguments.ts";
import { say, type Command } from "./command.ts";
import { failure } from "./failure.ts";
import { pathsIn } from "./home.ts";
import { noise } from "./list.ts";
import { parallelsJson, version } from "./machine-json.ts";

const licenceKey = "000000-******-******-******-000000";

export function info(command: Command): void {
  const parsed = parseArguments(command.argv, { json: "flag", license: "flag" }, { j: "json" });
  const json = parsed.has("json");
  if (parsed.has("license")) return licence(command, json);
  const facts = serverFacts(command);
  if (json) {
    if (command.control.noiseBeforeJson) say(noise);
    return say(parallelsJson(facts));
  }
  say(Object.entries(facts).map(factLine).join(""));
}

/** `prlctl server info`. */
export function serverInfo(command: Command): void {
  const [action, ...argv] = command.argv;
  if (action !== "info") throw failure(`Unknown action: ${action ?? ""}`, 1);
  info({ ...command, argv });
}

function serverFacts({ home, host, control }: Command): Record<string, unknown> {
  return {
    ID: `{${host.serverId}}`,
    Hostname: host.hostName,
    OS: "macOS 15.2(24C101)",
    Version: `Desktop ${version.name}-${version.build}`,
    "Build flags": "external",
    "Started as service": "on",
    "VM home": pathsIn(home).machines,
    "Memory limit": { mode: "auto" },
    "Minimal security level": "low",
    "Manage settings for new users": "allow",
    "CEP mechanism": "off",
    "Verbose log": "off",
    "Log rotation": "on",
    "External device auto connect": "ask",
    "Web portal domain": "parallels.com",
    "Host ID": `{${host.serverId}}`,
    "Allow attach screenshots": "on",
    "Custom password protection": "off",
    "Preferences are locked": "off",
    "Disable deleting report archive": "off",
    "Add serial port output to report": "off",
    "Require password to": [...control.requirePassword],
    License: {
      state: control.licence === "valid" ? "valid" : control.licence === "expired" ? "expired" : "invalid",
      key: licenceKey,
      restricted: "false",
    },
    "Hardware Id": `{${host.hardwareId}}`,
    "Signed In": "no",
    "Hardware info": { "/dev/disk0": { name: "APPLE SSD Media (disk0)", type: "hdd" }, en0: { name: "Ethernet (en0)", type: "net" } },
  };
}

function factLine([key, value]: [string, unknown]): string {
  if (key === "Hardware info") {
    const devices = Object.entries(value as Record<string, { name: string; type: string }>);
    return `Hardware info:\n${devices.map(([id, { name, type }]) => `${type.padStart(8)}  ${name.padEnd(38)} '${id}'\n`).join("")}`;
  }
  if (key === "License")
    return `License: ${Object.entries(value as object)
      .map(([name, text]) => `${name}='${String(text)}'`)
      .join(" ")}\n`;
  if (key === "Memory limit") return "Memory limit: auto\n";
  if (Array.isArray(value)) return value.length === 0 ? "" : `${key}: ${value.join(" ")}\n`;
  return `${key}: ${String(value)}\n`;
}

function licence({ control, host }: Command, json: boolean): void {
  if (control.licence === "none") return say("Searching for installed licenses...\nNo licenses installed.\n");
  const expired = control.licence === "expired";
  const facts = {
    status: expired ? "EXPIRED" : "ACTIVE",
    serial: licenceKey,
    expiration: expired ? "2020-01-01 00:00:00" : "2099-12-31 23:59:59",
    main_period_ends_at: "2099-12-31 23:59:59",
    grace_period_ends_at: "2099-12-31 23:59:59",
    cpu_total: host.cpus,
    max_memory: -1,
    edition: control.edition,
    is_trial: "no",
    is_volume: "no",
    advanced_restrictions: "",
    deferred_activation: "no",
    uuid: host.serverId,
  };
  say(
    json
      ? parallelsJson(facts)
      : Object.entries(facts)
          .map(([key, value]) => `\t${key}="${String(value)}"\n`)
          .join(""),
  );
}

export function user(command: Command): void {
  const parsed = parseArguments(command.argv, { json: "flag", "def-vm-home": "value" }, { j: "json" });
  if (parsed.words[0] !== "list") throw failure(`Unknown action: user ${parsed.words[0] ?? ""}`, 1);
  const { host, home } = command;
  const row = { NAME: `${host.user}@${host.hostName}`, MNG_SETTINGS: "allow", DEF_VM_HOME: pathsIn(home).machines };
  say(parsed.has("json") ? parallelsJson([row]) : `NAME MNG_SETTINGS DEF_VM_HOME\n${Object.values(row).join(" ")}\n`);
}

export function net(command: Command): void {
  const parsed = parseArguments(command.argv, { json: "flag" }, { j: "json" });
  if (parsed.words[0] !== "list") throw failure(`Unknown action: net ${parsed.words[0] ?? ""}`, 1);
  const networks = [
    { "Network ID": "Shared", Type: "shared", "NAT server": {} },
    { "Network ID": "Host-Only", Type: "host-only" },
    { "Network ID": "Ethernet (en0)", Type: "bridged" },
    { "Network ID": "Default", Type: "bridged" },
  ];
  const table = networks.map((network) => `${network["Network ID"].padEnd(20)} ${network.Type}\n`).join("");
  say(parsed.has("json") ? parallelsJson(networks) : `${"Network ID".padEnd(20)} Type\n${table}`);
}
