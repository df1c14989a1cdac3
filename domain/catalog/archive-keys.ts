/**
 * How an archive of the Parallels DevOps service is named in a grant: one plain segment that holds its whole key.
 *
 * The one idea: the archive's own key may be any text, so it never stands in a path or is matched against one; who reads the name gets the key back.
 */
const form = /^\.drover\/v1\/archives\/([A-Za-z0-9_-]{1,1400})$/;

export const archiveGrantName = (packKey: string): string => `.drover/v1/archives/${toBase64Url(packKey)}`;

/** Null for what is no such name. */
export function archiveKey(name: string): string | null {
  const [, coded] = form.exec(name) ?? [];
  if (coded === undefined) return null;
  const key = Buffer.from(coded, "base64url").toString("utf8");
  return toBase64Url(key) === coded ? key : null;
}

const toBase64Url = (text: string): string => Buffer.from(text, "utf8").toString("base64url");
