/**
 * What a bundle is, told from its files alone, and everything that keeps it from being pushed.
 *
 * It reads and never changes; it says all refusals at once, each with what to do, so that nobody mends a bundle one error at a time.
 */
import { basename, extname, isAbsolute, join, normalize, resolve } from "node:path";
import type { Architecture } from "../domain/catalog/rules.ts";
import { ok, refuse, type Fault, type Result } from "../domain/errors.ts";
import { readXml, type Element } from "./bundle-xml.ts";
import { isCutShort } from "./disk-end.ts";
import { scanFolder, type ScannedEntry } from "./scan.ts";

export interface DiskFacts {
  /** The folder of the disk in the bundle. */
  readonly name: string;
  readonly type: "expanding" | "plain";
  /** What the guest sees. */
  readonly logicalBytes: number | null;
  readonly allocatedBytes: number;
  readonly files: number;
  readonly snapshots: number;
}

export interface BundleInspection {
  readonly path: string;
  readonly kind: "pvm" | "macvm";
  readonly name: string;
  readonly uuid: string | null;
  readonly guestOs: string | null;
  /** A guess from the processor that the configuration names; macOS machines are always arm64. */
  readonly architecture: Architecture | null;
  readonly vcpus: number | null;
  readonly memoryBytes: number | null;
  readonly disks: readonly DiskFacts[];
  readonly snapshots: number;
  readonly logicalBytes: number;
  readonly allocatedBytes: number;
  readonly refusals: readonly Fault[];
}

/** A machine of Apple's own framework is nothing without these three. */
const macFiles = ["aux.bin", "machw.bin", "macid.bin"];
const guestSystems: Readonly<Record<string, string>> = { 7: "macos", 8: "windows", 9: "linux" };
const processors: Readonly<Record<string, Architecture>> = { 0: "x86_64", 1: "arm64" };
const noEngine = "{00000000-0000-0000-0000-000000000000}";
const megabyte = 1024 * 1024;

/** The facts of a bundle that may be pushed, or the first reason why it may not. */
export async function checkBundle(path: string): Promise<Result<BundleInspection>> {
  const found = await inspectBundle(path);
  const [refusal] = found.refusals;
  return refusal ? refuse(refusal) : ok(found);
}

/** Fails only when there is no such folder. */
export async function inspectBundle(givenPath: string): Promise<BundleInspection> {
  const path = resolve(givenPath);
  const { entries, refusals } = await scanFolder(path);
  const config = await readXml(join(path, "config.pvs"), "ParallelsVirtualMachine");
  const kind = kindOf(path, config);
  const diskNames = entries.filter((entry) => entry.kind === "folder" && /^[^/]+\.hdd$/i.test(entry.path)).map((entry) => entry.path);
  const disks = await Promise.all(diskNames.map((name) => inspectDisk(path, name, entries)));
  const files = entries.filter((entry) => entry.kind === "file");
  return {
    path,
    kind,
    ...configFacts(path, kind, config),
    disks: disks.map(({ facts }) => facts),
    snapshots: await countSnapshots(path),
    logicalBytes: files.reduce((sum, file) => sum + file.bytes, 0),
    allocatedBytes: files.reduce((sum, file) => sum + file.allocatedBytes, 0),
    refusals: [
      ...refuseShape(path, kind, entries, config, diskNames),
      ...refuseState(path, entries, config),
      ...disks.flatMap((disk) => disk.refusals),
      ...refusals,
    ],
  };
}

function kindOf(path: string, config: Element | null): "pvm" | "macvm" {
  const ending = extname(path).toLowerCase();
  if (ending === ".macvm" || ending === ".pvm") return ending === ".macvm" ? "macvm" : "pvm";
  return config?.text("Identification", "VmType") === "2" ? "macvm" : "pvm";
}

function configFacts(path: string, kind: "pvm" | "macvm", config: Element | null) {
  const text = (...names: string[]) => config?.text(...names) ?? null;
  const memory = count(text("Hardware", "Memory", "RAM"));
  const system = kind === "macvm" ? "macos" : (guestSystems[text("Settings", "General", "OsType") ?? ""] ?? null);
  return {
    name: text("Identification", "VmName") ?? basename(path, extname(path)),
    uuid: text("Identification", "VmUuid")?.replace(/[{}]/g, "").toLowerCase() ?? null,
    guestOs: system,
    architecture: kind === "macvm" ? ("arm64" as const) : (processors[text("Hardware", "Cpu", "Type") ?? ""] ?? null),
    vcpus: count(text("Hardware", "Cpu", "Number")),
    memoryBytes: memory === null ? null : memory * megabyte,
  };
}

async function inspectDisk(path: string, name: string, entries: readonly ScannedEntry[]): Promise<{ facts: DiskFacts; refusals: Fault[] }> {
  const descriptor = await readXml(join(path, name, "DiskDescriptor.xml"), "Parallels_disk_image");
  const images =
    descriptor
      ?.child("StorageData")
      .children("Storage")
      .flatMap((storage) => storage.children("Image")) ?? [];
  const parts = entries.filter((entry) => entry.kind === "file" && entry.path.startsWith(`${name}/`));
  const sectors = count(descriptor?.text("Disk_Parameters", "Disk_size") ?? null);
  const sectorBytes = count(descriptor?.text("Disk_Parameters", "LogicSectorSize") ?? null) ?? 512;
  const facts: DiskFacts = {
    name,
    type: images.some((image) => image.text("Type") === "Compressed") ? "expanding" : "plain",
    logicalBytes: sectors === null ? null : sectors * sectorBytes,
    allocatedBytes: parts.reduce((sum, part) => sum + part.allocatedBytes, 0),
    files: images.length,
    // Each snapshot of a disk leaves one image below the top one.
    snapshots: Math.max(0, images.length - 1),
  };
  const refusals = refuseDisk(path, name, descriptor, images);
  return { facts, refusals: refusals.length > 0 ? refusals : await refuseImages(path, name, images) };
}

/** The files that the descriptor names are there, and whole. */
async function refuseImages(path: string, name: string, images: readonly Element[]): Promise<Fault[]> {
  const judged = images.map(async (image): Promise<Fault[]> => {
    const file = image.text("File") ?? "";
    try {
      return (await isCutShort(join(path, name, file)))
        ? [invalid(path, `its disk ${name} is cut short: ${file} ends before the data that its table lists`)]
        : [];
    } catch (error) {
      if (isMissing(error)) return [invalid(path, `its disk ${name} lacks ${file}`)];
      throw error;
    }
  });
  return (await Promise.all(judged)).flat();
}

const isMissing = (error: unknown): boolean => error instanceof Error && "code" in error && error.code === "ENOENT";

function refuseDisk(path: string, name: string, descriptor: Element | null, images: readonly Element[]): Fault[] {
  if (!descriptor) return [invalid(path, `its disk ${name} has no DiskDescriptor.xml that can be read`)];
  const refusals: Fault[] = [];
  const engine = descriptor.text("Disk_Parameters", "Encryption", "Engine");
  if (engine !== null && engine !== noEngine) refusals.push(refused(path, `its disk ${name} is encrypted: decrypt the machine`));
  for (const image of images) {
    const file = image.text("File") ?? "";
    if (isAbsolute(file) || normalize(file).startsWith("..")) {
      refusals.push(refused(path, `it is a linked clone, its disk ${name} needs "${file}" of another machine: make a full clone`));
    }
  }
  return refusals;
}

function refuseShape(
  path: string,
  kind: "pvm" | "macvm",
  entries: readonly ScannedEntry[],
  config: Element | null,
  disks: readonly string[],
): Fault[] {
  const has = (name: string) => entries.some((entry) => entry.kind === "file" && entry.path === name);
  const ending = extname(path).toLowerCase();
  const refusals: Fault[] = [];
  if (ending === ".pvmp" || ending === ".pvmi" || has("config.pvsp")) refusals.push(refused(path, "it is packed: unpack the machine"));
  else if (ending !== ".pvm" && ending !== ".macvm") refusals.push(invalid(path, "its name ends neither in .pvm nor in .macvm"));
  if (!has("config.pvs")) refusals.push(invalid(path, "it has no config.pvs"));
  else if (!config) refusals.push(invalid(path, "its config.pvs cannot be read"));
  // The first macOS machines kept their disk in a plain file beside the configuration.
  if (disks.length === 0 && !(kind === "macvm" && has("disk0.img"))) refusals.push(invalid(path, "it has no disk"));
  if (kind === "macvm")
    for (const name of macFiles) if (!has(name)) refusals.push(invalid(path, `it has no ${name}, without which no Mac can start it`));
  return refusals;
}

function refuseState(path: string, entries: readonly ScannedEntry[], config: Element | null): Fault[] {
  const refusals: Fault[] = [];
  // Memory files of snapshots lie deeper; those at the top are of a machine that sleeps.
  if (entries.some((entry) => /^[^/]+\.(sav|mem)$/i.test(entry.path)))
    refusals.push(refused(path, "it is suspended: start it and shut it down"));
  if (config?.text("Settings", "VmEncryptionInfo", "Enabled") === "1") refusals.push(refused(path, "it is encrypted: decrypt the machine"));
  const linked = config?.text("Identification", "LinkedVmUuid") ?? null;
  if (linked !== null && linked !== noEngine)
    refusals.push(refused(path, `it is a linked clone of the machine ${linked}: make a full clone`));
  return refusals;
}

async function countSnapshots(path: string): Promise<number> {
  const root = await readXml(join(path, "Snapshots.xml"), "ParallelsSavedStates");
  const below = (element: Element): number =>
    element.children("SavedStateItem").reduce((sum, item) => sum + (item.attribute("guid") ? 1 : 0) + below(item), 0);
  return root ? below(root) : 0;
}

/** A number above zero, or `null`. */
function count(text: string | null): number | null {
  const number = Number(text ?? "");
  return Number.isSafeInteger(number) && number > 0 ? number : null;
}

const refused = (path: string, problem: string): Fault => ({
  code: "bundle_refused",
  message: `${path} cannot be pushed: ${problem}.`,
  subject: path,
});
const invalid = (path: string, problem: string): Fault => ({
  code: "bundle_invalid",
  message: `${path} is no complete bundle: ${problem}.`,
  subject: path,
});
