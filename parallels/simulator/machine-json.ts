/**
 * A machine as `list -i --json` prints it: the keys, their order, their spelling and their mixture of booleans and words are Parallels' own.
 */
import type { Control } from "./control.ts";
import { isMac, stateOf, toolsOf, uptimeOf, addressOf, type Machine } from "./machine.ts";
import { bootOf, option, protectionOf, screenOf, useOf } from "./machine-sections.ts";
import { settingsIfThere, type Settings } from "./settings.ts";

/** The build that the simulator says it is. */
export const version = { name: "20.2.0", build: "55872" } as const;

type Json = Record<string, unknown>;

export interface Shown {
  readonly machine: Machine;
  readonly control: Control;
  readonly nowMs: number;
  /** A list of all machines, in which Parallels may leave `Home` empty. */
  readonly bulk: boolean;
}

export function machineJson(shown: Shown): Json {
  const settings = settingsIfThere(shown.machine.bundlePath);
  return settings ? wholeJson(shown, settings) : invalidJson(shown.machine);
}

function invalidJson({ id, name, bundlePath }: Machine): Json {
  const home = { "Home path": bundlePath, Home: bundlePath };
  return {
    ID: id,
    Name: name,
    Description: "",
    Type: "VM",
    State: "invalid",
    OS: "other",
    Template: "no",
    Uptime: "0",
    ...home,
    Hardware: {},
  };
}

function wholeJson({ machine, control, nowMs, bulk }: Shown, settings: Settings): Json {
  return {
    ID: machine.id,
    Name: machine.name,
    Description: settings.description,
    Type: "VM",
    State: stateOf(machine, nowMs),
    OS: settings.os,
    Template: settings.template ? "yes" : "no",
    Uptime: String(uptimeOf(machine, nowMs)),
    "Home path": bulk && control.bulkHomeEmpty === "both" ? "" : `${machine.bundlePath}/config.pvs`,
    Home: bulk && control.bulkHomeEmpty !== false ? "" : `${machine.bundlePath}/`,
    "Restore Image": "",
    GuestTools: guestTools(machine, control, nowMs),
    ...useOf(settings),
    ...protectionOf(settings),
    ...screenOf(),
    ...bootOf(machine, settings),
    Hardware: hardware(machine, settings),
    "Host Shared Folders": { enabled: true, ...settings.extras.folders },
    "Host defined sharing": "Off",
    "Guest Shared Folders": { enabled: false },
    "Shared Profile": { enabled: false },
    "Shared Applications": { enabled: false },
    SmartMount: { enabled: false },
    Network: { Conditioned: "off", ipAddresses: addresses(machine, control, nowMs) },
    "Miscellaneous Sharing": {
      "Shared clipboard mode": option(settings, "shared-clipboard", "on"),
      "Shared cloud": option(settings, "shared-cloud", "off"),
    },
    Advanced: {
      "VM hostname synchronization": "off",
      "Public SSH keys synchronization": "off",
      "Show developer tools": "off",
      "Swipe from edges": "off",
      "Share host location": "off",
      "Rosetta Linux": option(settings, "rosetta-linux", "off"),
    },
  };
}

function guestTools(machine: Machine, control: Control, nowMs: number): Json {
  const state = toolsOf(machine, control, nowMs);
  return state === "not_installed" ? { state } : { state, version: `${version.name}-${version.build}` };
}

/** A stopped machine still shows the address it had last; macOS guests often tell none at all. */
function addresses(machine: Machine, control: Control, nowMs: number): Json[] {
  if (machine.address === null || (isMac(machine) && !control.macvmReportsAddresses)) return [];
  const shown = stateOf(machine, nowMs) === "running" ? addressOf(machine, control, nowMs) : machine.address;
  return shown === null ? [] : [{ type: shown.includes(":") ? "ipv6" : "ipv4", ip: shown }];
}

function hardware(machine: Machine, settings: Settings): Json {
  const { devices } = settings.extras;
  const disks = settings.disks.map(
    (disk, index) =>
      [
        `hdd${index}`,
        {
          enabled: true,
          port: `sata:${index === 0 ? 0 : index + 1}`,
          image: `${machine.bundlePath}/${disk.fileName}`,
          type: disk.expanding ? "expanded" : "plain",
          size: `${disk.megabytes}Mb`,
          ...(disk.expanding && { "online-compact": "off" }),
        },
      ] as const,
  );
  const usual: Json = {
    ...Object.fromEntries(disks),
    cdrom0: { enabled: true, port: "sata:1", image: "", state: "disconnected" },
    usb: { enabled: true },
    net0: { enabled: true, type: "shared", mac: settings.macAddress, card: "virtio", dhcp: "yes" },
    sound0: { enabled: true, output: "Default", mixer: "Default" },
  };
  const changed = Object.entries(devices).map(([id, properties]) => [id, { ...(usual[id] as Json | undefined), ...properties }] as const);
  const present = Object.entries({ ...usual, ...Object.fromEntries(changed) }).filter(([id]) => devices[id]?.["removed"] !== true);
  return {
    cpu: { cpus: settings.cpus, auto: "off", "VT-x": true, hotplug: false, accl: "high", mode: "64", type: "arm" },
    memory: { size: `${settings.memoryMegabytes}Mb`, auto: "off", hotplug: false },
    video: {
      "adapter-type": isMac(machine) ? "apple" : "parallels",
      size: "0Mb",
      "3d-acceleration": option(settings, "3d-accelerate", "highest"),
      "vertical-sync": "on",
      "high-resolution": "off",
      "high-resolution-in-guest": "off",
      "native-scaling-in-guest": "off",
      "automatic-video-memory": "on",
    },
    memory_quota: { auto: "yes" },
    ...Object.fromEntries(present),
  };
}

/** Parallels' own layout of JSON: tabs, slashes escaped, and an empty list or object with an empty line in it. */
export function parallelsJson(value: unknown): string {
  if (Array.isArray(value) && value.length === 0) return "[\n\n]\n";
  return `${JSON.stringify(value, null, "\t").replaceAll("/", "\\/")}\n`;
}
