/** `prlctl list` in its forms: the table, the short JSON, and everything about a machine as text or JSON. */
import { parseArguments, type Options, type Parsed } from "./arguments.ts";
import { machineNamed, say, type Command } from "./command.ts";
import { failure } from "./failure.ts";
import { addressOf, stateOf, type Machine } from "./machine.ts";
import { machineJson, parallelsJson } from "./machine-json.ts";
import { settingsIfThere } from "./settings.ts";

export const noise = "This feature is not available in this edition of Parallels Desktop. \n";

const options: Options = {
  all: "flag",
  template: "flag",
  info: "flag",
  full: "flag",
  json: "flag",
  "no-header": "flag",
  output: "value",
  sort: "value",
  L: "flag",
  S: "value",
};
const short = { a: "all", t: "template", i: "info", f: "full", j: "json", o: "output", s: "sort", v: "all" };

const columns: Readonly<Record<string, string>> = {
  uuid: "uuid",
  id: "uuid",
  veid: "uuid",
  status: "status",
  ip: "ip_configured",
  ip_configured: "ip_configured",
  name: "name",
  mac: "mac",
  home: "home",
  location: "home",
  private: "home",
  description: "description",
  dist: "dist",
  ostemplate: "dist",
};

/** Looks while nobody changes anything, so a machine on its way to another name or folder does not look broken. */
export function list(command: Command): void {
  const parsed = parseArguments(command.argv, options, short);
  say(command.registry.alone(() => listing(command, parsed)));
}

function listing(command: Command, parsed: Parsed): string {
  const nowMs = Date.now();
  const handle = parsed.words[0];
  const json = parsed.has("json");
  const machines =
    handle === undefined ? chosen(command, parsed.has("all"), parsed.has("template"), nowMs) : [machineNamed(command, handle)];
  const before = command.control.noiseBeforeJson && json ? noise : "";
  const header = !parsed.has("no-header");
  if (parsed.has("info")) return before + information(command, machines, { json, header, bulk: handle === undefined, nowMs });

  const fields = parsed.value("output")?.split(",") ?? ["uuid", "status", "ip_configured", "name"];
  const unknown = fields.find((field) => !columns[field]);
  if (unknown !== undefined) throw failure(`Unknown field: ${unknown}`, 1);
  const rows = machines.map((machine) => fields.map((field) => cell(command, machine, columns[field] ?? field, parsed.has("full"), nowMs)));
  if (!json) return table(fields, rows, header);
  return before + parallelsJson(rows.map((row) => Object.fromEntries(row.map((value, index) => [columns[fields[index] ?? ""], value]))));
}

function chosen(command: Command, every: boolean, templates: boolean, nowMs: number): Machine[] {
  const seen = command.registry
    .all()
    .filter((machine) => machine.template === templates && (every || templates || stateOf(machine, nowMs) === "running"));
  return seen.toSorted((one, other) => (one.name < other.name ? -1 : 1));
}

function cell(command: Command, machine: Machine, column: string, full: boolean, nowMs: number): string {
  if (column === "uuid") return machine.id;
  if (column === "status") return stateOf(machine, nowMs);
  if (column === "name") return machine.name;
  // Without --full the service is not asked for leases.
  if (column === "ip_configured") return (full && addressOf(machine, command.control, nowMs)) || "-";
  if (column === "home") return machine.bundlePath;
  const settings = settingsIfThere(machine.bundlePath);
  if (!settings) return "-";
  return { mac: settings.macAddress, description: settings.description, dist: settings.os }[column] ?? "-";
}

const titles: Readonly<Record<string, string>> = { uuid: "UUID", status: "STATUS", ip_configured: "IP_ADDR", name: "NAME" };
const widths: Readonly<Record<string, number>> = { uuid: 39, status: 12, ip_configured: 15 };

function table(fields: readonly string[], rows: readonly (readonly string[])[], header: boolean): string {
  const shown = fields.map((field) => columns[field] ?? field);
  const line = (cells: readonly string[]) =>
    `${cells.map((text, index) => (index === cells.length - 1 ? text : text.padEnd(widths[shown[index] ?? ""] ?? 16))).join(" ")}\n`;
  const braced = rows.map((row) => row.map((text, index) => (shown[index] === "uuid" ? `{${text}}` : text)));
  return [...(header ? [shown.map((field) => titles[field] ?? field.toUpperCase())] : []), ...braced].map(line).join("");
}

interface Wanted {
  readonly json: boolean;
  readonly header: boolean;
  readonly bulk: boolean;
  readonly nowMs: number;
}

function information(command: Command, machines: readonly Machine[], { json, header, bulk, nowMs }: Wanted): string {
  const objects = machines.map((machine) => machineJson({ machine, control: command.control, nowMs, bulk }));
  if (json) return parallelsJson(objects);
  return objects.map((object) => `${header ? "INFO\n" : ""}${Object.entries(object).map(textOf).join("")}`).join("\n");
}

function textOf([key, value]: [string, unknown]): string {
  if (key === "ID") return `ID: {${String(value)}}\n`;
  if (key === "Hardware")
    return `Hardware:\n${Object.entries(value as Record<string, Record<string, unknown>>)
      .map(deviceLine)
      .join("")}`;
  if (typeof value !== "object" || value === null) return `${key}: ${String(value)}\n`;
  return `${key}: ${Object.entries(value)
    .map(([name, inner]) => `${name}=${typeof inner === "object" ? JSON.stringify(inner) : String(inner)}`)
    .join(" ")}\n`;
}

/** `  hdd0 (+) sata:0 image='…' type='expanded' 60000Mb`; processor and memory have no switch. */
function deviceLine([id, properties]: [string, Record<string, unknown>]): string {
  const { enabled, port, size, ...others } = properties;
  const quoted = id.startsWith("hdd") || id.startsWith("cdrom");
  const shown = Object.entries(others).map(([name, value]) =>
    quoted && name !== "online-compact" ? `${name}='${String(value)}'` : `${name}=${String(value)}`,
  );
  const sign = enabled === undefined ? [] : [enabled === true ? "(+)" : "(-)"];
  return `  ${[id, ...sign, ...(port === undefined ? [] : [String(port)]), ...shown, ...(size === undefined ? [] : [String(size)])].join(" ")}\n`;
}
