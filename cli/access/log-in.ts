/** Changes a user's name and password into a token, at the hub, and a token into one that ends later. */
import type { z } from "zod";
import { faultOf, reasonOf, unreachable } from "../client.ts";
import { HubProblem, Token } from "../wire.ts";
import { FaultError } from "../../domain/errors.ts";

/** A right password costs a slow hash, a wrong one may cost a wait. */
const limitMs = 60_000;

export const logIn = (url: string, credentials: { username: string; password: string }): Promise<z.infer<typeof Token>> =>
  tokenFrom(url, "/login", { headers: { "content-type": "application/json" }, body: JSON.stringify(credentials) });

export const renewLogin = (url: string, token: string): Promise<z.infer<typeof Token>> =>
  tokenFrom(url, "/login/renew", { headers: { authorization: `Bearer ${token}` } });

interface Sent {
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

async function tokenFrom(url: string, path: string, { headers, ...body }: Sent): Promise<z.infer<typeof Token>> {
  const request = { method: "POST", headers: { ...headers, accept: "application/json" }, ...body, signal: AbortSignal.timeout(limitMs) };
  const response = await fetch(`${url}/api/v2${path}`, request).catch((cause: unknown) => {
    throw unreachable(url, reasonOf(cause), cause);
  });
  const answer: unknown = await response.json().catch(() => null);
  const token = Token.safeParse(answer).data;
  if (response.ok && token) return token;
  throw new FaultError(faultOf(response, HubProblem.safeParse(answer).data));
}
