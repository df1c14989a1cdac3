/** Changes what somebody can prove, a password or a token of somebody else, into a token of the hub, and a token into one that ends later. */
import { z } from "zod";
import { faultOf, reasonOf, unreachable } from "../client.ts";
import { HubProblem, Token } from "../wire.ts";
import { FaultError } from "../../domain/errors.ts";

/** A right password costs a slow hash, a wrong one may cost a wait. */
const limitMs = 60_000;

type Given = z.infer<typeof Token>;

export const logIn = (url: string, credentials: { username: string; password: string }): Promise<Given> =>
  exchange(url, "/login", credentials);
export const logInByProvider = (url: string, proof: { provider: string; idToken: string }): Promise<Given> =>
  exchange(url, "/login/provider", proof);
export const logInWorkload = (url: string, token: string): Promise<Given> => exchange(url, "/login/workload", { token });

export const renewLogin = (url: string, token: string): Promise<Given> =>
  asked(url, "/login/renew", Token, { method: "POST", headers: { authorization: `Bearer ${token}` } });

/** A list that anybody may see who has no login yet. */
export const getFrom = <T>(url: string, path: string, item: z.ZodType<T>): Promise<{ items: T[] }> =>
  asked(url, path, z.object({ items: z.array(item) }), { method: "GET" });

const exchange = (url: string, path: string, proof: object): Promise<Given> =>
  asked(url, path, Token, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(proof) });

interface Sent {
  readonly method: "GET" | "POST";
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

async function asked<T>(url: string, path: string, schema: z.ZodType<T>, { headers, ...sent }: Sent): Promise<T> {
  const request = { ...sent, headers: { ...headers, accept: "application/json" }, signal: AbortSignal.timeout(limitMs) };
  const response = await fetch(`${url}/api/v2${path}`, request).catch((cause: unknown) => {
    throw unreachable(url, reasonOf(cause), cause);
  });
  const answer: unknown = await response.json().catch(() => null);
  const read = schema.safeParse(answer);
  if (response.ok && read.success) return read.data;
  throw new FaultError(faultOf(response, HubProblem.safeParse(answer).data));
}
