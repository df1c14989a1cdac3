/**
 * What a machine's `config.pvs` says, and changes to it.
 *
 * The one idea: the bundle is the truth, so settings travel with clones and copies. Settings for which the simulator has no element of
 * Parallels' own are kept as JSON in the element for custom properties.
 */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { elementOf, elementsOf, withElement } from "../bundle/config.ts";

export interface Extras {
  /** Options of `set` by flag. */
  readonly options: Readonly<Record<string, string>>;
  /** Properties of devices that differ from the usual. */
  readonly devices: Readonly<Record<string, Readonly<Record<string, string | boolean>>>>;
  readonly folders: Readonly<Record<string, { readonly enabled: boolean; readonly path: string; readonly mode: string }>>;
}

export interface Settings {
  readonly id: string;
  readonly name: string;
  readonly description: string;
  readonly os: string;
  readonly template: boolean;
  readonly cpus: number;
  readonly memoryMegabytes: number;
  readonly macAddress: string;
  readonly linkedSource: string | null;
  readonly linkedSnapshot: string | null;
  readonly isolated: boolean;
  readonly encrypted: boolean;
  readonly disks: readonly { readonly fileName: string; readonly expanding: boolean; readonly megabytes: number }[];
  readonly extras: Extras;
}

/** Numbers of guest systems. macOS's is known from real bundles; the others only have to differ. */
const systems: Readonly<Record<string, readonly [type: number, number: number]>> = {
  macosx: [7, 1795],
  macos: [7, 1795],
  "win-11": [8, 2068],
  "win-10": [8, 2066],
  ubuntu: [9, 2314],
  debian: [9, 2311],
  "fedora-core": [9, 2310],
  linux: [9, 2313],
  boot2docker: [9, 2329],
  other: [255, 65283],
};
export const systemNumbers = (word: string): readonly [number, number] | null => systems[word] ?? null;

const systemWord = (type: number, number: number): string => {
  const exact = Object.entries(systems).find(([, numbers]) => numbers[0] === type && numbers[1] === number);
  return exact?.[0] ?? { 7: "macosx", 8: "win-11", 9: "linux" }[type] ?? "other";
};

export const configPath = (bundlePath: string) => join(bundlePath, "config.pvs");
export const readConfig = (bundlePath: string): string => readFileSync(configPath(bundlePath), "utf8");

export function writeConfig(bundlePath: string, xml: string): void {
  const aside = `${configPath(bundlePath)}.${process.pid}`;
  writeFileSync(aside, xml);
  renameSync(aside, configPath(bundlePath));
}

const elements = {
  id: ["Identification", "VmUuid"],
  sourceId: ["Identification", "SourceVmUuid"],
  linkedSource: ["Identification", "LinkedVmUuid"],
  linkedSnapshot: ["Identification", "LinkedSnapshotUuid"],
  name: ["Identification", "VmName"],
  description: ["Settings", "General", "VmDescription"],
  template: ["Settings", "General", "IsTemplate"],
  extras: ["Settings", "General", "CustomProperty"],
  isolated: ["Settings", "Tools", "IsolatedVm"],
  cpus: ["Hardware", "Cpu", "Number"],
  memory: ["Hardware", "Memory", "RAM"],
  macAddress: ["Hardware", "NetworkAdapter", "MAC"],
} as const;
export type Element = keyof typeof elements;

export function changeConfig(bundlePath: string, changes: Partial<Record<Element, string>>): void {
  const entries = Object.entries(changes) as [Element, string][];
  writeConfig(
    bundlePath,
    entries.reduce((xml, [element, text]) => withElement(xml, [...elements[element]], text), readConfig(bundlePath)),
  );
}

export function changeExtras(bundlePath: string, change: (extras: Extras) => Extras): void {
  changeConfig(bundlePath, { extras: JSON.stringify(change(settingsOf(bundlePath).extras)) });
}

const bare = (id: string | null) => (id ?? "").replace(/[{}]/g, "").toLowerCase();

export function settingsOf(bundlePath: string): Settings {
  const xml = readConfig(bundlePath);
  const text = (element: Element) => elementOf(xml, ...elements[element]);
  return {
    id: bare(text("id")),
    name: text("name") ?? "",
    description: text("description") ?? "",
    os: systemWord(Number(elementOf(xml, "Settings", "General", "OsType")), Number(elementOf(xml, "Settings", "General", "OsNumber"))),
    template: text("template") === "1",
    cpus: Number(text("cpus") ?? 1),
    memoryMegabytes: Number(text("memory") ?? 512),
    macAddress: text("macAddress") ?? "",
    linkedSource: bare(text("linkedSource")) || null,
    linkedSnapshot: bare(text("linkedSnapshot")) || null,
    isolated: text("isolated") === "1",
    encrypted: elementOf(xml, "Settings", "VmEncryptionInfo", "Enabled") === "1",
    disks: elementsOf(xml, "Hdd").map((disk) => ({
      fileName: elementOf(disk, "SystemName") ?? "",
      expanding: elementOf(disk, "DiskType") === "1",
      megabytes: Number(elementOf(disk, "Size") ?? 0),
    })),
    extras: extrasOf(text("extras") ?? ""),
  };
}

/** `null`: the bundle is gone, as the bundle of an invalid machine is. */
export function settingsIfThere(bundlePath: string): Settings | null {
  try {
    return settingsOf(bundlePath);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}

function extrasOf(text: string): Extras {
  const none = { options: {}, devices: {}, folders: {} };
  return text.startsWith("{") ? { ...none, ...(JSON.parse(text) as Partial<Extras>) } : none;
}
