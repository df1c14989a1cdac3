/**
 * Seals values that rows keep but must not show: scripts, environments, credentials of stores.
 *
 * The one idea: a sealed value names the key that sealed it and is bound to its context, so keys can rotate and values cannot be moved about.
 */
import { FaultError } from "../domain/errors.ts";
import { decrypt, encrypt } from "./cipher.ts";
import type { KeyRing } from "./key-ring.ts";

export interface Sealer {
  /** `context` says where the value belongs, such as `operation:<id>`; it must be the same when it is opened. */
  seal(value: unknown, context: string): Promise<Uint8Array>;
  open<T>(sealed: Uint8Array, context: string): Promise<T>;
}

/** A UUID as text. */
const idBytes = 36;

export function sealer(ring: KeyRing): Sealer {
  return {
    seal: async (value, context) => {
      const key = await ring.current("payload");
      return Buffer.concat([Buffer.from(key.id), encrypt(key.secret, Buffer.from(JSON.stringify(value)), sealContext(context))]);
    },
    open: async <T>(sealed: Uint8Array, context: string): Promise<T> => {
      const id = Buffer.from(sealed.subarray(0, idBytes)).toString();
      const key = await ring.find("payload", id);
      const plain = key && decrypt(key.secret, sealed.subarray(idBytes), sealContext(context));
      if (!plain)
        throw new FaultError({ code: "internal", message: `The sealed value of ${context} does not open with any key of this hub.` });
      return JSON.parse(Buffer.from(plain).toString()) as T;
    },
  };
}

const sealContext = (context: string) => `sealed:${context}`;
