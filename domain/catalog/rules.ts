/**
 * How images are named and who may have them, as pure facts without zod.
 *
 * The normal form of ids and versions is that of the Parallels DevOps service, so that both see the same names.
 */
import { ok, refuse, type Fault, type Result } from "../errors.ts";

export const architectures = ["arm64", "x86_64"] as const;
export type Architecture = (typeof architectures)[number];

const aliases: Readonly<Record<string, Architecture>> = {
  arm64: "arm64",
  arm: "arm64",
  aarch64: "arm64",
  x86_64: "x86_64",
  amd64: "x86_64",
  x64: "x86_64",
};
export const architectureOf = (word: string): Architecture | null => aliases[word.trim().toLowerCase()] ?? null;

const forbidden = /[\s,:;()[\]{}'"/\\|<>=+*&^%$#@!`~?]/g;
export const normalise = (name: string): string => name.replace(forbidden, "_").trim().toLowerCase();
export const isNormal = (name: string): boolean => name.search(forbidden) === -1;

/** The version that a push without one makes, and the tag that a pull without one looks for first. */
export const latest = "latest";

export interface ImageKey {
  readonly catalogId: string;
  readonly version: string;
  readonly architecture: Architecture;
}
export const imageName = ({ catalogId, version, architecture }: ImageKey): string => `${catalogId}/${version}/${architecture}`;

/** What a caller may see and have. `everything` is the super user's. */
export interface Holder {
  readonly roles: readonly string[];
  readonly claims: readonly string[];
  readonly everything: boolean;
}
interface Guarded {
  readonly requiredRoles: readonly string[];
  readonly requiredClaims: readonly string[];
}
const anyOf = (wanted: readonly string[], held: readonly string[]): boolean =>
  wanted.length === 0 || wanted.some((word) => held.some((own) => own.toLowerCase() === word.toLowerCase()));

/** Any listed role and any listed claim is enough; an empty list asks for nothing. */
export const maySee = (image: Guarded, holder: Holder): boolean =>
  holder.everything || (anyOf(image.requiredRoles, holder.roles) && anyOf(image.requiredClaims, holder.claims));

interface Marked extends ImageKey {
  readonly taintedBy: string | null;
  readonly taintedAt: Date | null;
  readonly revokedBy: string | null;
  readonly revokedAt: Date | null;
}

/** Tainted and revoked versions are not handed out; the answer says who marked them and when. */
export function mayPull(image: Marked): Result<void> {
  const marked = (code: Fault["code"], word: string, by: string | null, at: Date) =>
    refuse({
      code,
      message: `${imageName(image)} was ${word} by ${by ?? "an unknown user"} at ${at.toISOString()}.`,
      subject: imageName(image),
    });
  if (image.revokedAt) return marked("image_revoked", "revoked", image.revokedBy, image.revokedAt);
  if (image.taintedAt) return marked("image_tainted", "tainted", image.taintedBy, image.taintedAt);
  return ok(undefined);
}
