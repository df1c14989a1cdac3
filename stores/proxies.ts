/**
 * The HTTP proxies through which stores are reached.
 *
 * The one idea: the environment says it, as for every other program, and is read once by the process's own beginning; all clients of stores ask here. What runs on
 * this very computer is reached straight.
 */
import type { AgentOptions } from "node:http";

export type ProxyEnvironment = Readonly<Partial<Record<"HTTP_PROXY" | "HTTPS_PROXY" | "NO_PROXY", string | undefined>>>;

const loopback = "localhost,127.0.0.1,::1";
let told: NonNullable<AgentOptions["proxyEnv"]> | undefined;

/** Once, before the first store is opened. */
export function useProxies({ HTTP_PROXY, HTTPS_PROXY, NO_PROXY }: ProxyEnvironment): void {
  const exempt = NO_PROXY ? `${NO_PROXY},${loopback}` : loopback;
  const known = { ...withScheme("HTTP_PROXY", HTTP_PROXY), ...withScheme("HTTPS_PROXY", HTTPS_PROXY) };
  told = Object.keys(known).length === 0 ? undefined : { ...known, NO_PROXY: exempt };
}

/** Without a scheme it is a plain one, as other programs read it. */
const withScheme = (name: "HTTP_PROXY" | "HTTPS_PROXY", proxy: string | undefined) =>
  proxy ? { [name]: /^[a-z]+:\/\//i.test(proxy) ? proxy : `http://${proxy}` } : {};

/** For an agent: through the proxy where there is one. */
export const throughProxies = (): Pick<AgentOptions, "proxyEnv"> => (told ? { proxyEnv: told } : {});
