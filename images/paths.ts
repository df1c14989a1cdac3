/**
 * Which paths a bundle may have: relative, made of plain names, and distinct on every file system that hosts use.
 *
 * The rules are the same when a bundle is pushed (refused by name, with the remedy) and when a tree is read (a tree that breaks them is corrupt), so nothing that a store holds can write outside its folder.
 */

/** What the file systems of hosts allow for one name. */
const nameLimitBytes = 255;
/** macOS refuses longer paths; the host's own folder comes before ours. */
const pathLimitBytes = 900;

/** What is wrong with a path of a bundle, or `null`. */
export function pathProblem(path: string): string | null {
  if (path === "" || path.includes("\0")) return "is empty or holds a NUL";
  if (path.startsWith("/")) return "is absolute";
  if (path.includes("\uFFFD") || !path.isWellFormed()) return "is not valid Unicode";
  if (Buffer.byteLength(path) > pathLimitBytes) return `is longer than ${pathLimitBytes} bytes`;
  for (const name of path.split("/")) {
    if (name === "" || name === "." || name === "..") return "leaves the bundle or names nothing";
    if (Buffer.byteLength(name) > nameLimitBytes) return `has a name longer than ${nameLimitBytes} bytes`;
  }
  return null;
}

/** Two paths with the same folded form are one file on a Mac, which ignores case and Unicode composition. */
export function foldPath(path: string): string {
  // Upper case first, so that letters like the German sharp s fold as the file system folds them.
  return path.normalize("NFC").toUpperCase().toLowerCase().normalize("NFC");
}

/**
 * Where a link's target lies inside the bundle, or `null` when it leaves it or is absolute.
 * ".." counts only at the start: after a name it would depend on where that name, perhaps a link too, leads.
 */
export function linkTargetInside(linkPath: string, target: string): string | null {
  if (target === "" || target.startsWith("/") || target.includes("\0") || Buffer.byteLength(target) > pathLimitBytes) return null;
  const parts = linkPath.split("/").slice(0, -1);
  let named = false;
  for (const name of target.split("/")) {
    if (name === "" || name === ".") continue;
    if (name !== "..") {
      parts.push(name);
      named = true;
    } else if (named || parts.pop() === undefined) return null;
  }
  return parts.join("/");
}

/** The order of entries in a tree: by the bytes of their UTF-8 paths. */
export const comparePaths = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

export function parentOf(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash < 0 ? "" : path.slice(0, slash);
}
