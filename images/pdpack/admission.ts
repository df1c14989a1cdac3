/**
 * Which entries of a foreign archive come in: plain files, folders and links that stay inside, each under a path of its own on every file system.
 *
 * The one idea: an archive is judged entry by entry before anything of it is written, against a list of what came in already; nothing is corrected but the
 * leading slash that every archive of that service has.
 */
import type { Header } from "tar-stream";
import { FaultError } from "../../domain/errors.ts";
import { foldPath, linkTargetInside, parentOf, pathProblem } from "../paths.ts";

export interface ArchiveLimits {
  readonly entries: number;
  /** Of all files together. */
  readonly logicalBytes: number;
  /** Data written for each byte of the archive. */
  readonly ratio: number;
}

/** A bundle has dozens of files, hundreds with many snapshots; twenty thousand are no bundle. */
export const entryLimit = 20_000;
/** Deflate reaches 1,032; disks that are no trap stay below 20, since their zeros become holes and are not counted. */
export const ratioLimit = 250;
/** So much is never a bomb: a small archive of much the same is honest. */
const harmlessBytes = 128 * 1024 * 1024;
/** Where nobody told a size: twice the largest disk that Parallels Desktop makes. */
export const logicalLimitBytes = 16 * 1024 ** 4;

export interface Admitted {
  readonly path: string;
  readonly kind: "file" | "folder" | "link";
  readonly mode: number;
  readonly mtimeMs: number;
  readonly bytes: number;
  readonly target: string;
}

export interface Admission {
  /** Null for what is passed over without harm. Fails with `archive_refused`. */
  admit(header: Header): Admitted | null;
  /** Tells that data of an entry was written, and how much of the archive was read for it. */
  wrote(dataBytes: number, packedBytes: number): void;
  /** Everything that came in, and the folders that only paths spoke of. Links are judged once more, from `root`. */
  admitted(): Admitted[];
}

const kinds = { file: "file", "contiguous-file": "file", directory: "folder", symlink: "link" } as const;
const refusedKinds: Readonly<Record<string, string>> = {
  link: "a hard link",
  "character-device": "a device",
  "block-device": "a device",
  fifo: "a pipe",
};

export function openAdmission(name: string, limits: ArchiveLimits): Admission {
  const seen = new Map<string, Admitted>();
  let [entries, logicalBytes, data] = [0, 0, 0];
  const no = (problem: string) => refused(name, problem);

  const takeFolder = (path: string) => {
    if (path === "") return;
    takeFolder(parentOf(path));
    const known = seen.get(foldPath(path));
    if (!known) seen.set(foldPath(path), impliedFolder(path));
    else if (known.kind !== "folder") throw no(`"${path}" is used as a folder and is none`);
    else if (known.path !== path) throw no(`"${path}" and "${known.path}" stand for the same folder`);
  };

  return {
    admit: (header) => {
      if (++entries > limits.entries) throw no(`it has more than ${limits.entries} entries`);
      const entry = read(header, no);
      if (entry.path === "") return null;
      takeFolder(parentOf(entry.path));
      const known = seen.get(foldPath(entry.path));
      const again = known?.kind === "folder" && entry.kind === "folder" && known.path === entry.path;
      if (known && !again) throw no(`"${entry.path}" and "${known.path}" stand for the same file`);
      logicalBytes += entry.bytes;
      if (logicalBytes > limits.logicalBytes) throw no(`its files have more than the ${limits.logicalBytes} bytes that they may have`);
      seen.set(foldPath(entry.path), entry);
      return entry;
    },
    wrote: (dataBytes, packedBytes) => {
      data += dataBytes;
      if (data > harmlessBytes && data > packedBytes * limits.ratio) throw no(`it unpacks to more than ${limits.ratio} times its size`);
    },
    admitted: () => [...seen.values()],
  };
}

export function impliedFolder(path: string): Admitted {
  return { path, kind: "folder", mode: 0o755, mtimeMs: 0, bytes: 0, target: "" };
}

function read({ name: told, type, size, mode, mtime, linkname, pax }: Header, no: (problem: string) => FaultError): Admitted {
  const path = plainPath(told);
  const shown = told.slice(0, 200);
  const kind = kinds[type as keyof typeof kinds];
  if (!kind) throw no(`"${shown}" is ${refusedKinds[type] ?? "of a kind that no machine has"}`);
  if (isSparse(pax)) throw no(`"${shown}" is stored with holes in a way that only GNU tar reads`);
  const problem = path === "" ? (kind === "folder" ? null : "names nothing") : pathProblem(path);
  if (problem) throw no(`the path "${shown}" ${problem}`);
  const bytes = kind === "file" ? size : 0;
  if (!Number.isSafeInteger(bytes) || bytes < 0) throw no(`"${shown}" has a size that makes no sense`);
  const target = kind === "link" ? ((linkname as string | null) ?? "") : "";
  if (kind === "link" && linkTargetInside(path, target) === null) throw no(`"${shown}" is a link to "${target.slice(0, 200)}", outside`);
  return { path, kind, bytes, target, mode: modeOf(kind, mode), mtimeMs: timeOf(mtime) };
}

/** Every archive of that service has names with a leading slash, and `tar` of a folder names with "./": neither says anything. */
function plainPath(told: string): string {
  const path = told.replace(/^(\.?\/)+/, "").replace(/\/+$/, "");
  return path === "." ? "" : path;
}

/** In such an archive the content begins with a list of pieces, which another reader takes for the file. */
const isSparse = (pax: unknown): boolean =>
  typeof pax === "object" && pax !== null && Object.keys(pax).some((word) => word.startsWith("GNU.sparse"));

/** Nothing of the owner, and always the right to read it again: a file that Drover may not read could not be cloned. */
function modeOf(kind: Admitted["kind"], mode: number): number {
  if (kind === "link") return 0o777;
  return (mode & 0o777) | (kind === "folder" ? 0o700 : 0o600);
}

/** Dates that no file system can keep count as none. */
function timeOf(time: Date): number {
  const at = time.getTime();
  return Number.isFinite(at) && at > 0 && at < 8.64e14 ? Math.round(at) : 0;
}

export const refused = (name: string, problem: string): FaultError =>
  new FaultError({ code: "archive_refused", message: `The archive ${name} is refused: ${problem}.`, subject: name });
