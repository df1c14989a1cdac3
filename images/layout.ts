/**
 * Where the parts of a cached image lie on a host: `<root>/<digest>/{bundle/, tree, seal.json}`, and the same below `.incoming` while it is fetched.
 *
 * Both folders have one form, so a fetched image becomes visible by one rename.
 */
import { join } from "node:path";

export const incomingName = ".incoming";

export interface ImagePaths {
  readonly folder: string;
  readonly bundle: string;
  readonly tree: string;
  readonly seal: string;
}

export function imagePaths(folder: string): ImagePaths {
  return { folder, bundle: join(folder, "bundle"), tree: join(folder, "tree"), seal: join(folder, "seal.json") };
}

export const cachedPaths = (root: string, digest: string): ImagePaths => imagePaths(join(root, digest));
export const incomingPaths = (root: string, digest: string): ImagePaths => imagePaths(join(root, incomingName, digest));
