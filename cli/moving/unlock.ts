/**
 * Opens what a Parallels DevOps service encrypted under its RSA key: its whole database, or single secrets in it.
 *
 * The one idea: the format is that service's: a key of AES under RSA, then the text under that. It has no seal, so what comes out is believed only when it
 * makes sense.
 */
import { constants, createDecipheriv, createPrivateKey, privateDecrypt, type KeyObject } from "node:crypto";

/** From PEM, or from base64 of it as the environment variable has it; null for neither. */
export function keyIn(written: string): KeyObject | null {
  const text = written.trim();
  for (const pem of [text, Buffer.from(text, "base64").toString("utf8")]) {
    if (!pem.includes("PRIVATE KEY")) continue;
    try {
      const key = createPrivateKey(pem);
      return key.asymmetricKeyType === "rsa" ? key : null;
    } catch {
      return null;
    }
  }
  return null;
}

/** Null: it was not written for this key. */
export function unlocked(bytes: Uint8Array, key: KeyObject): Buffer | null {
  const wrappedBytes = (key.asymmetricKeyDetails?.modulusLength ?? 0) / 8;
  if (bytes.byteLength <= wrappedBytes) return null;
  try {
    const secret = privateDecrypt({ key, padding: constants.RSA_PKCS1_PADDING }, bytes.subarray(0, wrappedBytes));
    if (secret.byteLength !== 32) return null;
    const decipher = createDecipheriv("aes-256-cfb", secret, secret.subarray(0, 16));
    return Buffer.concat([decipher.update(bytes.subarray(wrappedBytes)), decipher.final()]);
  } catch {
    return null;
  }
}

/** A single secret, which stands as base64 where it is encrypted. One that is not, or not for this key, stays as it is. */
export function unlockedSecret(secret: string, key: KeyObject): string {
  if (!/^[A-Za-z0-9+/]{340,}={0,2}$/.test(secret)) return secret;
  const text = unlocked(Buffer.from(secret, "base64"), key)?.toString("utf8");
  return text === undefined || [...text].some((sign) => sign < " " || sign === "\ufffd") ? secret : text;
}
