/**
 * Binds each Temporal task to who polled it.
 *
 * The one idea: the binding travels in the token itself, as a MAC over caller and token, so it needs no memory and outlives a restart of the gateway.
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { FaultError } from "../domain/errors.ts";
import type { KeyRing } from "../security/key-ring.ts";

const macBytes = 32;

export interface TaskTokens {
  bind(holder: string, token: Uint8Array): Promise<Uint8Array>;
  /** The server's own token, or `forbidden` when somebody else polled the task. */
  release(holder: string, bound: Uint8Array): Promise<Uint8Array>;
}

export function taskTokens(ring: KeyRing): TaskTokens {
  return {
    bind: async (holder, token) => Buffer.concat([macOf((await ring.current("grant")).secret, holder, token), token]),
    release: async (holder, bound) => {
      const [mac, token] = [bound.subarray(0, macBytes), bound.subarray(macBytes)];
      const proves = ({ secret }: { secret: Uint8Array }) =>
        mac.byteLength === macBytes && timingSafeEqual(mac, macOf(secret, holder, token));
      // Older keys too: a task may have been polled before the key was rotated.
      if ((await ring.all("grant")).some(proves)) return token;
      throw new FaultError({ code: "forbidden", message: "This task was given to somebody else." });
    },
  };
}

const macOf = (secret: Uint8Array, holder: string, token: Uint8Array): Buffer =>
  createHmac("sha256", secret).update("task-token\0").update(holder).update("\0").update(token).digest();
