/**
 * AES-256-GCM, once: whatever Drover encrypts goes through these two functions.
 *
 * The one idea: every ciphertext is bound to what it belongs to (the context), so a sealed value copied to another row or key does not open.
 * Layout: version byte, nonce (12 bytes), tag (16 bytes), ciphertext.
 */
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";

const version = 1;
const nonceBytes = 12;
const tagBytes = 16;
const headBytes = 1 + nonceBytes + tagBytes;

export const keyBytes = 32;

export function encrypt(key: Uint8Array, plain: Uint8Array, context: string): Uint8Array {
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv("aes-256-gcm", key, nonce);
  cipher.setAAD(Buffer.from(context));
  const body = Buffer.concat([cipher.update(plain), cipher.final()]);
  return Buffer.concat([Buffer.of(version), nonce, cipher.getAuthTag(), body]);
}

/** `null` when the key or the context is not the one that it was encrypted with, or a bit changed. */
export function decrypt(key: Uint8Array, sealed: Uint8Array, context: string): Uint8Array | null {
  if (sealed.byteLength < headBytes || sealed[0] !== version) return null;
  const decipher = createDecipheriv("aes-256-gcm", key, sealed.subarray(1, 1 + nonceBytes), { authTagLength: tagBytes });
  decipher.setAAD(Buffer.from(context));
  decipher.setAuthTag(sealed.subarray(1 + nonceBytes, headBytes));
  try {
    return Buffer.concat([decipher.update(sealed.subarray(headBytes)), decipher.final()]);
  } catch {
    return null;
  }
}
