/**
 * The right of a Parallels DevOps service to read the archive of one image version, in place of the keys of the store that it lies in.
 *
 * The one idea: it names the image and who asked for it. Whether that user may still have the image is looked up at each request, so nothing needs to be
 * taken back when a right ends.
 */
import type { KeyRing } from "./key-ring.ts";
import { rightTokens, type RightTokens } from "./right-tokens.ts";

/** That service reads 5 MiB after 5 MiB, one after the other: 500 GB over a line of 100 Mbit/s. */
const archiveTokenMs = 12 * 3_600_000;

/** `key`: of the API that was used, or nothing. */
export type ArchiveTokens = RightTokens<"image" | "user" | "key">;

export const archiveTokens = (ring: KeyRing): ArchiveTokens =>
  rightTokens(ring, {
    audience: "drover-archives",
    words: ["image", "user", "key"],
    lifetimeMs: archiveTokenMs,
    refusal: "The token gives no right to this archive (any more).",
  });
