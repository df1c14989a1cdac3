/**
 * What Node lacks on files: where the holes are, how to punch one, and FinderInfo. The only file that calls the system library.
 *
 * Every answer has a right fallback (`null`, `false`): without the library, a file is one piece of data, zeros are found by looking, and FinderInfo is left out.
 */
import koffi from "koffi";

interface SystemCalls {
  seek(fd: number, offset: number, whence: number): number;
  /** True when the range reads as zeros afterwards and takes no room. */
  punch(fd: number, offset: number, bytes: number): boolean;
  /** Copies within the system, without the bytes passing through us; answers how many, or -1. Absent where there is no such call. */
  readonly copyRange?: (from: number, to: number, offset: number, bytes: number) => Promise<number>;
  /** Begins to write a range to the disk, and waits for none of it; beside the caller, whom the handing over would hold up. Absent where there is no such call. */
  readonly writeBackBeside?: (fd: number, offset: number, bytes: number) => Promise<void>;
  getFinderInfo(path: string): Buffer | null;
  setFinderInfo(path: string, info: Buffer): boolean;
}

// The two systems number the same questions the other way round.
const seekData = process.platform === "darwin" ? 4 : 3;
const seekHole = process.platform === "darwin" ? 3 : 4;

const finderInfoName = "com.apple.FinderInfo";
const finderInfoBytes = 32;

let loaded: SystemCalls | null | undefined;

function system(): SystemCalls | null {
  if (loaded === undefined) loaded = load();
  return loaded;
}

function load(): SystemCalls | null {
  try {
    if (process.platform === "linux") return linuxCalls();
    if (process.platform === "darwin") return darwinCalls();
    return null;
  } catch {
    return null; // A system library without these names: the fallbacks are right, only slower.
  }
}

function linuxCalls(): SystemCalls {
  const library = koffi.load(null);
  const lseek = library.func("int64_t lseek(int, int64_t, int)");
  const fallocate = library.func("int fallocate(int, int, int64_t, int64_t)");
  const copyFileRange = library.func("int64_t copy_file_range(int, _Inout_ int64_t *, int, _Inout_ int64_t *, size_t, unsigned int)");
  const syncFileRange = library.func("int sync_file_range(int, int64_t, int64_t, unsigned int)");
  const keepSizeAndPunch = 0x01 | 0x02;
  const onlyBegin = 0x02;
  return {
    seek: (fd, offset, whence) => Number(lseek(fd, offset, whence)),
    punch: (fd, offset, bytes) => fallocate(fd, keepSizeAndPunch, offset, bytes) === 0,
    copyRange: (from, to, offset, bytes) =>
      new Promise((resolve, reject) => {
        copyFileRange.async(from, [offset], to, [offset], bytes, 0, (error: unknown, copied: unknown) => {
          if (error) reject(error instanceof Error ? error : new Error("copy_file_range failed"));
          else resolve(Number(copied));
        });
      }),
    // Whatever goes wrong is told by the sync that follows.
    writeBackBeside: (fd, offset, bytes) => new Promise((resolve) => syncFileRange.async(fd, offset, bytes, onlyBegin, () => resolve())),
    getFinderInfo: () => null,
    setFinderInfo: () => false,
  };
}

function darwinCalls(): SystemCalls {
  const library = koffi.load(null);
  const lseek = library.func("int64_t lseek(int, int64_t, int)");
  koffi.struct("fpunchhole_t", { flags: "uint32", reserved: "uint32", offset: "int64", length: "int64" });
  const fcntl = library.func("int fcntl(int, int, ...)");
  const getxattr = library.func("int64_t getxattr(const char *, const char *, void *, size_t, uint32_t, int)");
  const setxattr = library.func("int setxattr(const char *, const char *, const void *, size_t, uint32_t, int)");
  const punchHole = 99;
  const noFollow = 1;
  return {
    seek: (fd, offset, whence) => Number(lseek(fd, offset, whence)),
    punch: (fd, offset, length) => fcntl(fd, punchHole, "fpunchhole_t *", { flags: 0, reserved: 0, offset, length }) !== -1,
    getFinderInfo: (path) => {
      const info = Buffer.alloc(finderInfoBytes);
      return Number(getxattr(path, finderInfoName, info, finderInfoBytes, 0, noFollow)) === finderInfoBytes ? info : null;
    },
    setFinderInfo: (path, info) => setxattr(path, finderInfoName, info, finderInfoBytes, 0, noFollow) === 0,
  };
}

export interface Extent {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

/** Where a file holds data, in order; what lies between reads as zeros. Without help from the system: one extent of everything. */
export function dataExtents(fd: number, sizeBytes: number): Extent[] {
  const calls = system();
  if (sizeBytes === 0) return [];
  if (!calls) return [{ offsetBytes: 0, lengthBytes: sizeBytes }];
  const extents: Extent[] = [];
  for (let at = 0; at < sizeBytes;) {
    const start = calls.seek(fd, at, seekData);
    if (start < 0 && koffi.errno() !== koffi.os.errno["ENXIO"]) return [{ offsetBytes: 0, lengthBytes: sizeBytes }];
    if (start < 0 || start >= sizeBytes) break; // Only a hole is left.
    const hole = calls.seek(fd, start, seekHole);
    const end = hole < 0 ? sizeBytes : Math.min(hole, sizeBytes);
    extents.push({ offsetBytes: start, lengthBytes: end - start });
    at = end;
  }
  return extents;
}

/** Makes a range a hole; `false` where the file system cannot, and the caller writes zeros. */
export function punchHole(fd: number, offsetBytes: number, lengthBytes: number): boolean {
  return system()?.punch(fd, offsetBytes, lengthBytes) ?? false;
}

/** Copies a range at the same place of another file; `null` where the system cannot, and the caller moves the bytes itself. */
export async function copyRange(from: number, to: number, offsetBytes: number, lengthBytes: number): Promise<number | null> {
  const copied = (await system()?.copyRange?.(from, to, offsetBytes, lengthBytes)) ?? -1;
  return copied > 0 ? copied : null;
}

/** Lets the disk begin with what will be synced later; nothing where the system has no such call. The file must stay open until it ends. */
export const writeBackBeside = async (fd: number, offsetBytes: number, lengthBytes: number): Promise<void> =>
  system()?.writeBackBeside?.(fd, offsetBytes, lengthBytes);

export const readFinderInfo = (path: string): Buffer | null => system()?.getFinderInfo(path) ?? null;
export const writeFinderInfo = (path: string, info: Buffer): boolean => system()?.setFinderInfo(path, info) ?? false;
