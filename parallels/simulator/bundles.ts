/** Verbs that make, take in, move and remove bundles: create, clone, register, unregister, delete, move. */
import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync, renameSync, rmSync, statSync } from "node:fs";
import { basename, dirname, extname, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { makeBundle, newMacAddress } from "../bundle/make.ts";
import { parseArguments, type Options } from "./arguments.ts";
import { busy, machineNamed, requireNoPassword, say, unknownMachine, type Command } from "./command.ts";
import { copyFolder } from "./copy.ts";
import { failure } from "./failure.ts";
import { pathsIn } from "./home.ts";
import { isMac, stateOf, type Machine } from "./machine.ts";
import { changeConfig, configPath, settingsOf, systemNumbers } from "./settings.ts";
import { linkDisks } from "./linked.ts";
import type { Work } from "./registry.ts";
import { takeSnapshot } from "./snapshots.ts";

const stopped = (machine: Pick<Machine, "id" | "name" | "bundlePath">, template = false): Machine => ({
  ...machine,
  settled: "stopped",
  passing: null,
  guest: null,
  address: null,
  uptimeSeconds: 0,
  template,
  neverBoots: false,
});

const usualDiskBytes = 64 * 1024 ** 3;

export async function create(command: Command): Promise<void> {
  const parsed = parseArguments(
    command.argv,
    {
      distribution: "value",
      ostype: "value",
      dst: "value",
      "no-hdd": "flag",
      "restore-image": "value",
      ostemplate: "value",
      "lion-recovery": "flag",
    },
    { d: "distribution", o: "ostype" },
  );
  const name = parsed.words[0];
  if (name === undefined) throw failure("The name of the virtual machine is not specified.", 1);
  requireNoPassword(command, "create-vm", "Failed to create the virtual machine");
  const isMacos = parsed.value("ostype") === "macos" && parsed.has("restore-image");
  const system = parsed.value("distribution") ?? parsed.value("ostype") ?? "other";
  const numbers = systemNumbers(system);
  if (!numbers) throw failure(`Unknown distribution: ${system}`, 1);
  refuseTaken(
    command,
    { name, bundlePath: join(destination(command, parsed.value("dst")), `${name}.${isMacos ? "macvm" : "pvm"}`) },
    "Failed to create the virtual machine",
  );

  say(`Creating the virtual machine...\nGenerate the VM configuration for ${system}.\n`);
  if (parsed.has("no-hdd")) say("Remove the hdd0 device.\n");
  await sleep(command.control.times.createMs);
  const { bundlePath, id } = await makeBundle({
    folder: destination(command, parsed.value("dst")),
    name,
    kind: isMacos ? "macvm" : "pvm",
    osType: numbers[0],
    osNumber: numbers[1],
    cpus: 2,
    memoryMegabytes: 2048,
    diskBytes: parsed.has("no-hdd") ? null : usualDiskBytes,
  });
  command.registry.alone(() => command.registry.put(stopped({ id, name, bundlePath })));
  say("The VM has been successfully created.\n");
}

const destination = (command: Command, given: string | null): string => {
  const folder = given === null ? pathsIn(command.home).machines : resolve(given);
  mkdirSync(folder, { recursive: true });
  return folder;
};

function refuseTaken(command: Command, { name, bundlePath, id }: { name: string; bundlePath: string; id?: string }, failed: string): void {
  const others = command.registry.all();
  const taken = others.find((other) => other.name === name || other.bundlePath === bundlePath || other.id === id);
  if (taken) throw failure(`${failed}: The virtual machine "${taken.name}" is already registered.`);
}

const cloneOptions: Options = {
  name: "value",
  dst: "value",
  linked: "flag",
  id: "value",
  template: "flag",
  "regenerate-src-uuid": "flag",
  changesid: "flag",
  "detach-external-hdd": "value",
  unlink: "flag",
};

export async function clone(command: Command): Promise<void> {
  const parsed = parseArguments(command.argv, cloneOptions, { i: "id" });
  const source = machineNamed(command, parsed.words[0]);
  const name = parsed.value("name");
  if (name === null) throw failure("The name of the new virtual machine is not specified.", 1);
  requireNoPassword(command, "clone-vm", "Failed to clone the VM");
  const kind = parsed.has("template") ? "template" : "VM";
  say(`Clone the ${source.name} VM to ${kind} ${name}...\n`);

  const target = targetOf(command, source, name, parsed.value("dst"));
  const linked = parsed.has("linked");
  const aside = join(dirname(target.bundlePath), `.${name}.${target.id}.cloning`);
  // Until the clone is registered, whatever lies under either name is its leftover.
  const work: Work = { kind: linked ? "linked-clone" : "clone", machineId: source.id, leftovers: [aside, target.bundlePath] };
  command.registry.alone(() => {
    refuseClone(command, source, linked);
    refuseTarget(command, target);
    command.registry.begin(work);
  });

  try {
    const origin = linked ? await copyLinked(source, aside, parsed.value("id")) : await copyWhole(command, source, aside);
    const sourceId = parsed.has("regenerate-src-uuid") ? { sourceId: `{${target.id}}` } : {};
    changeConfig(aside, { id: `{${target.id}}`, name, macAddress: newMacAddress(), ...origin, ...sourceId });
    command.registry.alone(() => {
      refuseTarget(command, target);
      renameSync(aside, target.bundlePath);
      const neverBoots = linked && isMac(source) && command.control.linkedMacvmNeverBoots;
      command.registry.put({ ...stopped(target, parsed.has("template")), neverBoots });
      command.registry.end(work);
    });
  } catch (error) {
    rmSync(aside, { recursive: true, force: true });
    command.registry.alone(() => command.registry.end(work));
    throw error;
  }
  say(`\nThe ${kind} has been successfully cloned.\n`);
}

type Target = Pick<Machine, "id" | "name" | "bundlePath">;

/** A destination that ends like a bundle names the folder that it would lie in. */
function targetOf(command: Command, source: Machine, name: string, dst: string | null): Target {
  const folder = destination(command, dst !== null && /\.(pvm|macvm)\/?$/.test(dst) ? dirname(dst) : dst);
  return { id: randomUUID(), name, bundlePath: join(folder, `${name}${extname(source.bundlePath)}`) };
}

function refuseTarget(command: Command, target: Target): void {
  refuseTaken(command, target, "Failed to clone the VM");
  if (existsSync(target.bundlePath)) throw failure(`Failed to clone the VM: ${target.bundlePath} already exists.`);
}

function refuseClone(command: Command, source: Machine, linked: boolean): void {
  const state = stateOf(source, Date.now());
  if (state === "invalid") throw failure("Failed to clone the VM: The configuration file of the virtual machine is invalid.");
  if (state !== "stopped" && state !== "suspended") throw failure(`Failed to clone the VM: ${busy("currently running")}`);
  const linkedClones = command.registry.underway("linked-clone");
  if (linked && linkedClones.some(({ machineId }) => machineId === source.id))
    throw failure(`Failed to clone the VM: ${busy("being cloned")}`);
}

async function copyWhole(command: Command, source: Machine, aside: string): Promise<Record<never, string>> {
  let shown = -1;
  const onProgress = (share: number) => {
    const percent = Math.floor(share * 100);
    if (percent !== shown) say(`\rCopying hard disk... ${String(percent).padStart(3)}%`);
    shown = percent;
  };
  await copyFolder(source.bundlePath, aside, { bytesPerSecond: command.control.cloneBytesPerSecond, onProgress });
  say("\n");
  return {};
}

/** The clone's disks point into the source's, below a snapshot that the source gets for it. */
async function copyLinked(source: Machine, aside: string, snapshot: string | null) {
  const snapshotId =
    snapshot?.replace(/[{}]/g, "") ??
    (await takeSnapshot(source, { name: "Snapshot for linked clone", description: "", state: "poweroff" }));
  const isDisk = (path: string) => path.split("/")[0]?.endsWith(".hdd") === true || path.startsWith("Snapshots");
  await copyFolder(source.bundlePath, aside, { bytesPerSecond: null, onProgress: () => {}, leaveOut: isDisk });
  await linkDisks(source.bundlePath, aside, snapshotId);
  return { linkedSource: `{${source.id}}`, linkedSnapshot: `{${snapshotId}}` };
}

export async function register(command: Command): Promise<void> {
  const parsed = parseArguments(command.argv, {
    "preserve-uuid": "choice",
    uuid: "value",
    "regenerate-src-uuid": "flag",
    force: "flag",
    "delay-applying-restrictions": "flag",
  });
  const failed = "Failed to register the VM";
  const bundlePath = resolve(parsed.words[0] ?? "").replace(/\/config\.pvs$/, "");
  requireNoPassword(command, "add-vm", failed);
  say("Register the virtual environment...\n");
  if (!existsSync(configPath(bundlePath)))
    throw failure(`${failed}: The virtual machine configuration file ${configPath(bundlePath)} could not be found.`);
  await sleep(command.control.times.registerMs);
  const { id: ownId, name, template } = settingsOf(bundlePath);
  const preserves = parsed.has("preserve-uuid") && parsed.value("preserve-uuid") !== "no";
  const id = (parsed.value("uuid")?.replace(/[{}]/g, "") ?? (preserves ? ownId : randomUUID())).toLowerCase();

  command.registry.alone(() => {
    refuseTaken(command, { name, bundlePath, id }, failed);
    changeConfig(bundlePath, { id: `{${id}}`, ...(parsed.has("regenerate-src-uuid") && { sourceId: `{${id}}` }) });
    command.registry.put(stopped({ id, name, bundlePath }, template));
  });
  say("The virtual environment has been successfully registered.\n");
}

export function unregister(command: Command): void {
  const parsed = parseArguments(command.argv, { "clean-src-uuid": "flag" });
  const machine = machineNamed(command, parsed.words[0]);
  command.registry.alone(() => {
    refuseBusy(command, machine, "Failed to unregister the VM");
    command.registry.drop(machine.id);
  });
  say("The VM has been successfully unregistered.\n");
}

export function remove(command: Command): void {
  const machine = machineNamed(command, parseArguments(command.argv, {}).words[0]);
  const failed = "Failed to remove the VM";
  requireNoPassword(command, "remove-vm", failed);
  say("Removing the VM...\n");
  command.registry.alone(() => {
    if (stateOf(machine, Date.now()) === "invalid") throw failure(`${failed}: The configuration file of the virtual machine is invalid.`);
    refuseBusy(command, machine, failed);
    rmSync(machine.bundlePath, { recursive: true, force: true });
    rmSync(join(pathsIn(command.home).guests, machine.id), { recursive: true, force: true });
    command.registry.drop(machine.id);
  });
  say("The VM has been successfully removed.\n");
}

function refuseBusy(command: Command, { id }: Machine, failed: string): void {
  const machine = command.registry.find(id);
  if (!machine) throw failure(unknownMachine);
  const clones = [...command.registry.underway("clone"), ...command.registry.underway("linked-clone")];
  if (clones.some(({ machineId }) => machineId === id)) throw failure(`${failed}: ${busy("being cloned")}`);
  const state = stateOf(machine, Date.now());
  if (state !== "stopped" && state !== "suspended" && state !== "invalid") throw failure(`${failed}: ${busy("currently running")}`);
}

export function move(command: Command): void {
  const parsed = parseArguments(command.argv, { dst: "value" });
  const machine = machineNamed(command, parsed.words[0]);
  const dst = parsed.value("dst");
  if (dst === null) throw failure("Failed to move the VM; the --dst option is not specified.", 1);
  say(`Move the ${machine.name} VM to ${dst}...\n`);
  command.registry.alone(() => {
    refuseBusy(command, machine, "Failed to move the VM");
    const bundlePath = join(destination(command, dst), basename(machine.bundlePath));
    if (existsSync(bundlePath)) throw failure(`Failed to move the VM: ${bundlePath} already exists.`);
    if (statSync(dirname(bundlePath)).dev !== statSync(machine.bundlePath).dev)
      throw failure("Failed to move the VM: The destination lies on another disk.");
    renameSync(machine.bundlePath, bundlePath);
    command.registry.put({ ...machine, bundlePath });
  });
  say("\nThe VM has been successfully moved.\n");
}
