/**
 * Real ext4 file systems, made and changed without mounting them.
 *
 * The one idea: `mke2fs -d` and `debugfs -w` work on a raw image as an ordinary user, so a sample needs neither root nor a loop device.
 */
import { execFile } from "node:child_process";
import { open } from "node:fs/promises";
import { promisify } from "node:util";
import { findExecutable } from "../locate.ts";

const run = promisify(execFile);
/** A disk of some GiB takes seconds; ten minutes allow for a slow computer and still end. */
const timeoutMs = 600_000;
/** Where the tools lie when an ordinary user's PATH lacks them, on Debian and with Homebrew. */
const toolFolders = ["/usr/sbin", "/sbin", "/opt/homebrew/opt/e2fsprogs/sbin", "/usr/local/opt/e2fsprogs/sbin"];

export const findTool = (name: "mke2fs" | "debugfs", path: string): Promise<string | null> => findExecutable(name, path, toolFolders);

/** Makes a file system of so many bytes that holds the files below `content`. */
export async function makeExt4(
  tool: string,
  { rawPath, bytes, content }: { rawPath: string; bytes: number; content: string },
): Promise<void> {
  const raw = await open(rawPath, "wx");
  await raw.truncate(bytes).finally(() => raw.close());
  await run(tool, ["-q", "-F", "-t", "ext4", "-d", content, rawPath], { timeout: timeoutMs });
}

/** Writes a file into the file system of a raw image, as a guest would. */
export async function writeIntoExt4(
  tool: string,
  { rawPath, filePath, name }: { rawPath: string; filePath: string; name: string },
): Promise<void> {
  // debugfs answers 0 even when it could not write; it says so on stderr, after its greeting.
  const { stderr } = await run(tool, ["-w", "-R", `write "${filePath}" ${name}`, rawPath], { timeout: timeoutMs });
  const complaint = stderr.split("\n").filter((line) => line !== "" && !line.startsWith("debugfs "));
  if (complaint.length > 0) throw new Error(`debugfs could not write ${name} into ${rawPath}: ${complaint.join(" ")}`);
}

/** The magic number of ext2 to ext4 stands at 1080 in the file system. */
export async function holdsExt4(rawPath: string): Promise<boolean> {
  const raw = await open(rawPath, "r");
  const magic = Buffer.alloc(2);
  try {
    await raw.read(magic, 0, 2, 1080);
  } finally {
    await raw.close();
  }
  return magic.readUInt16LE() === 0xef53;
}
