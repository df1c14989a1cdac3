/**
 * `prlctl set`: options in the order given, one line of output for those that Parallels comments on.
 *
 * The one idea: an option is a row of a table (what it needs, what it says, what it changes); everything else is kept by its name.
 */
import { rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { renameSync } from "node:fs";
import { diskElement } from "../bundle/config.ts";
import { makeDiskFolder, newMacAddress } from "../bundle/make.ts";
import { machineNamed, say, type Command } from "./command.ts";
import { failure } from "./failure.ts";
import { pathsIn } from "./home.ts";
import { stateOf, type Machine } from "./machine.ts";
import { changeConfig, changeExtras, readConfig, settingsOf, writeConfig } from "./settings.ts";

interface Option {
  readonly flag: string;
  readonly value: string;
}

/** Options that a running machine takes; the others need it stopped. */
const whileRunning = new Set([
  "name",
  "description",
  "isolate-vm",
  "device-connect",
  "device-disconnect",
  "shf-host",
  "shf-host-add",
  "shf-host-set",
  "shf-host-del",
]);
const devices = /^(device-(add|set|del|connect|disconnect)|shf-host-(add|set|del))$/;

export async function set(command: Command): Promise<void> {
  const machine = machineNamed(
    command,
    command.argv.find((word) => !word.startsWith("-")),
  );
  const options = optionsOf(command.argv.slice(command.argv.findIndex((word) => !word.startsWith("-")) + 1));
  if (options.length === 0) throw failure("No options are specified.", 1);
  const state = stateOf(machine, Date.now());
  if (state === "invalid") throw failure("Failed to configure the VM: The configuration file of the virtual machine is invalid.");
  const refused = options.find(
    ({ flag }) =>
      state !== "stopped" &&
      state !== "suspended" &&
      !whileRunning.has(flag) &&
      !options.some((other) => devices.test(other.flag) && whileRunning.has(other.flag)),
  );
  if (refused)
    throw failure(`Failed to configure the VM: Unable to change --${refused.flag}. The virtual machine "${machine.name}" is not stopped.`);

  const device = options.findIndex(({ flag }) => devices.test(flag));
  for (const option of device < 0 ? options : options.slice(0, device)) applyGeneral(command, machine, option);
  const [first, ...details] = device < 0 ? [] : options.slice(device);
  if (first) await applyDevice(machine, first, details);
  say("\nThe VM has been successfully configured.\n");
}

/** A word without dashes is the value of the option before it. */
function optionsOf(argv: readonly string[]): Option[] {
  const options: Option[] = [];
  for (let index = 0; index < argv.length; index += 1) {
    const word = argv[index] ?? "";
    if (!word.startsWith("--")) throw failure(`Unrecognized option '${word}'`, 1);
    const next = argv[index + 1];
    const takes = next !== undefined && !next.startsWith("--");
    options.push({ flag: word.slice(2), value: takes ? next : "" });
    if (takes) index += 1;
  }
  return options;
}

function applyGeneral(command: Command, machine: Machine, { flag, value }: Option): void {
  const { bundlePath } = machine;
  if (flag === "name") return rename(command, machine, value);
  if (flag === "description") return changeConfig(bundlePath, { description: value });
  if (flag === "cpus") {
    say(`set cpus(${command.host.cpus}): ${value}\n`);
    return changeConfig(bundlePath, { cpus: value === "auto" ? "2" : positive(flag, value) });
  }
  if (flag === "memsize") {
    const megabytes = value === "auto" ? "2048" : positive(flag, value.replace(/M?b?$/i, ""));
    say(`Set the memsize parameter to ${megabytes}Mb.\n`);
    return changeConfig(bundlePath, { memory: megabytes });
  }
  if (flag === "isolate-vm") return changeConfig(bundlePath, { isolated: value === "on" ? "1" : "0" });
  if (flag === "template") return setTemplate(command, machine, value === "yes" || value === "on");
  if (flag === "cpu-hotplug") say(`set cpu hotplug: ${value === "on" ? 1 : 0}\n`);
  if (flag === "3d-accelerate") say(`Set 3d acceleration: ${{ off: 0, highest: 1, dx10: 2 }[value] ?? 0}.\n`);
  changeExtras(bundlePath, (extras) => ({ ...extras, options: { ...extras.options, [flag]: value } }));
}

function positive(flag: string, value: string): string {
  if (!/^[1-9]\d*$/.test(value)) throw failure(`Invalid value for --${flag}: ${value}`, 1);
  return value;
}

/** In the folder for machines the bundle is renamed as well. */
function rename(command: Command, { id }: Machine, name: string): void {
  command.registry.alone(() => {
    const machine = machineNamed(command, id);
    if (command.registry.all().some((other) => other.name === name && other.id !== id))
      throw failure(`Failed to configure the VM: The name "${name}" is already in use.`);
    changeConfig(machine.bundlePath, { name });
    const suffix = machine.bundlePath.slice(machine.bundlePath.lastIndexOf("."));
    const inHome = dirname(machine.bundlePath) === pathsIn(command.home).machines && stateOf(machine, Date.now()) === "stopped";
    const bundlePath = inHome ? join(dirname(machine.bundlePath), `${name}${suffix}`) : machine.bundlePath;
    if (bundlePath !== machine.bundlePath) renameSync(machine.bundlePath, bundlePath);
    command.registry.put({ ...machine, name, bundlePath });
  });
}

function setTemplate(command: Command, { id }: Machine, template: boolean): void {
  command.registry.alone(() => {
    const machine = machineNamed(command, id);
    changeConfig(machine.bundlePath, { template: template ? "1" : "0" });
    command.registry.put({ ...machine, template });
  });
}

async function applyDevice(machine: Machine, { flag, value }: Option, details: readonly Option[]): Promise<void> {
  const { bundlePath } = machine;
  const detail = (name: string) => details.find((option) => option.flag === name)?.value;
  if (flag.startsWith("shf-host-")) return applyFolder(bundlePath, flag, value, details);
  if (flag === "device-add" && value === "hdd")
    return addDisk(bundlePath, { megabytes: Number(detail("size") ?? 65_536), expanding: detail("type") !== "plain" });
  const present = presentDevices(bundlePath);
  if (flag === "device-add") {
    const id = value === "usb" ? "usb" : `${value}${present.filter((other) => other.startsWith(value)).length}`;
    return report("Creating", "Created", bundlePath, id, details);
  }
  if (!present.includes(value)) throw failure(`The ${value} device does not exist.`, 1);
  if (flag === "device-set") return report("Creating", "Configured", bundlePath, value, details);
  if (flag === "device-del") return deleteDevice(bundlePath, value, details);
  const state = flag === "device-connect" ? "connected" : "disconnected";
  say(`${flag === "device-connect" ? "Connect" : "Disconnect"} device: ${value}\nThe device successfully ${state}\n`);
  changeDevice(bundlePath, value, { state });
}

const presentDevices = (bundlePath: string): string[] => {
  const { disks, extras } = settingsOf(bundlePath);
  const usual = [...disks.map((_, index) => `hdd${index}`), "cdrom0", "usb", "net0", "sound0"];
  return [...new Set([...usual, ...Object.keys(extras.devices)])].filter((id) => extras.devices[id]?.["removed"] !== true);
};

function changeDevice(bundlePath: string, id: string, properties: Readonly<Record<string, string | boolean>>): void {
  changeExtras(bundlePath, (extras) => ({
    ...extras,
    devices: { ...extras.devices, [id]: { ...extras.devices[id], removed: false, ...properties } },
  }));
}

/** The property of a device that an option of `--device-set` means. */
const propertyNames: Readonly<Record<string, string>> = {
  type: "type",
  image: "image",
  iface: "iface",
  mac: "mac",
  "adapter-type": "card",
};

function report(doing: string, done: string, bundlePath: string, id: string, details: readonly Option[]): void {
  const properties: Record<string, string | boolean> = {};
  for (const { flag, value } of details) {
    if (flag === "mac" && id === "net0") changeConfig(bundlePath, { macAddress: macAddressOf(value) });
    else if (flag === "mac") properties["mac"] = macAddressOf(value);
    else if (flag === "size" && id.startsWith("hdd")) resize(bundlePath, Number(id.slice(3)), value);
    else if (flag === "enable" || flag === "disable") properties["enabled"] = flag === "enable";
    else if (flag === "connect" || flag === "disconnect") properties["state"] = flag === "connect" ? "connected" : "disconnected";
    else if (propertyNames[flag]) properties[propertyNames[flag]] = value;
  }
  if (!id.startsWith("hdd")) changeDevice(bundlePath, id, properties);
  const line = `${id} (+) ${Object.entries(properties)
    .map(([name, value]) => `${name}='${String(value)}'`)
    .join(" ")}`.trimEnd();
  say(`${doing} ${line}\n\n${done} ${line}\n\n`);
}

function macAddressOf(value: string): string {
  if (value === "auto") return newMacAddress();
  if (!/^[0-9A-Fa-f]{12}$/.test(value)) throw failure(`Invalid MAC address: ${value}`, 1);
  return value.toUpperCase();
}

function resize(bundlePath: string, index: number, megabytes: string): void {
  let seen = -1;
  const xml = readConfig(bundlePath).replace(/<Hdd\s[\s\S]*?<\/Hdd>/g, (disk) => {
    seen += 1;
    return seen === index ? disk.replace(/<Size>\d*<\/Size>/, `<Size>${positive("size", megabytes)}</Size>`) : disk;
  });
  writeConfig(bundlePath, xml);
}

async function addDisk(bundlePath: string, { megabytes, expanding }: { megabytes: number; expanding: boolean }): Promise<void> {
  const index = settingsOf(bundlePath).disks.length;
  const fileName = bundlePath.endsWith(".macvm") && index === 0 ? "harddisk.hdd" : `harddisk${index + 1}.hdd`;
  const line = `hdd${index} (+) sata:${index} image='${join(bundlePath, fileName)}' type='${expanding ? "expanded" : "plain"}' ${megabytes}Mb`;
  await makeDiskFolder({ bundle: bundlePath, diskName: fileName, bytes: megabytes * 1024 ** 2, expanding });
  writeConfig(
    bundlePath,
    readConfig(bundlePath).replace(
      /[ \t]*<NetworkAdapter\s/,
      (found) => `${diskElement(index, { fileName, megabytes, expanding })}${found}`,
    ),
  );
  say(`Creating ${line}\n\nCreated ${line}\n\n`);
}

function deleteDevice(bundlePath: string, id: string, details: readonly Option[]): void {
  say(`Remove the ${id} device.\n`);
  if (!id.startsWith("hdd")) return changeDevice(bundlePath, id, { removed: true });
  const index = Number(id.slice(3));
  const disk = settingsOf(bundlePath).disks[index];
  let seen = -1;
  writeConfig(
    bundlePath,
    readConfig(bundlePath).replace(/[ \t]*<Hdd\s[\s\S]*?<\/Hdd>\n?/g, (element) => ((seen += 1) === index ? "" : element)),
  );
  const detaches = details.some(({ flag }) => flag === "detach-only");
  if (disk && !detaches) rmSync(join(bundlePath, disk.fileName), { recursive: true, force: true });
}

function applyFolder(bundlePath: string, flag: string, id: string, details: readonly Option[]): void {
  const given = (name: string) => details.find((option) => option.flag === name)?.value;
  changeExtras(bundlePath, (extras) => {
    const { [id]: before, ...others } = extras.folders;
    if (flag !== "shf-host-add" && !before) throw failure(`The ${id} shared folder does not exist.`, 1);
    if (flag === "shf-host-del") return { ...extras, folders: others };
    const enabled = details.some((option) => option.flag === "disable") ? false : true;
    return {
      ...extras,
      folders: { ...others, [id]: { enabled, path: given("path") ?? before?.path ?? "", mode: given("mode") ?? before?.mode ?? "rw" } },
    };
  });
}
