/** Changes a user's name and password into a token, at the hub. */
import type { z } from "zod";
import { faultOf, reasonOf, unreachable } from "../client.ts";
import { HubProblem, Token } from "../wire.ts";
import { FaultError } from "../../domain/errors.ts";

/** A right password costs a slow hash, a wrong one may cost a wait. */
const limitMs = 60_000;

export async function logIn(url: string, credentials: { username: string; password: string }): Promise<z.infer<typeof Token>> {
  const headers = { "content-type": "application/json", accept: "application/json" };
  const request = { method: "POST", headers, body: JSON.stringify(credentials), signal: AbortSignal.timeout(limitMs) };
  const response = await fetch(`${url}/api/v2/login`, request).catch((cause: unknown) => {
    throw unreachable(url, reasonOf(cause), cause);
  });
  const body: unknown = await response.json().catch(() => null);
  const token = Token.safeParse(body).data;
  if (response.ok && token) return token;
  throw new FaultError(faultOf(response, HubProblem.safeParse(body).data));
}
