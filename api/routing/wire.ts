/**
 * The reverse proxy as the wire shows it: hosts with a port as text, routes whose order is a number, targets under three names.
 *
 * The one idea: every rule about these shapes stands here, where they become ours: what comes out of `routesIn` and `httpRouteIn` can be stored as it is.
 */
import { z } from "zod";
import type { ProxyHost } from "../../db/routing.ts";
import { compiled } from "../../domain/patterns.ts";
import type { Cors, HttpRoute, TcpRoute } from "../../domain/routing/schema.ts";
import { refusal } from "../wire/errors.ts";
import { present } from "../wire/present.ts";

/** They are tried one by one for each request. */
export const mostRoutes = 256;
const text = z.string().default("");
const headers = z.record(z.string(), z.string()).default({});

const Tls = z.object({ enabled: z.boolean().default(false), cert: text, key: text });
const CorsRequest = z.object({
  enabled: z.boolean().default(false),
  allowed_origins: z.array(z.string()).default([]),
  allowed_methods: z.array(z.string()).default([]),
  allowed_headers: z.array(z.string()).default([]),
});
const target = { target_vm_id: text, target_host: text, target_port: text };
export const HttpRouteRequest = z
  .object({
    order: z.int().default(0),
    path: text,
    pattern: text,
    schema: text,
    request_headers: headers,
    response_headers: headers,
    ...target,
  })
  .meta({ id: "ReverseProxyHostHttpRouteCreateRequest" });
export const TcpRouteRequest = z.object(target).meta({ id: "ReverseProxyHostTcpRouteCreateRequest" });
export const ReorderRequest = z.object({ id: text, order: z.int().default(0) }).meta({ id: "ReverseProxyHostHttpRouteReorderRequest" });
const own = { name: text.optional(), host: text, port: text, tls: Tls.optional(), cors: CorsRequest.optional() };
export const HostUpdateRequest = z.object(own).meta({ id: "ReverseProxyHostUpdateRequest" });
export const HostCreateRequest = z
  .object({ ...own, http_routes: z.array(HttpRouteRequest).max(mostRoutes).default([]), tcp_route: TcpRouteRequest.optional() })
  .meta({ id: "ReverseProxyHostCreateRequest" });

const VmDetails = z
  .object({
    name: z.string().optional(),
    state: z.string().optional(),
    os: z.string().optional(),
    uptime: z.string().optional(),
    guest_tools_state: z.string().optional(),
    guest_tools_version: z.string().optional(),
    internal_ip_address: z.string().optional(),
    host_external_ip_address: z.string().optional(),
  })
  .meta({ id: "ReverseProxyRouteVmDetails" });
export type VmDetails = z.infer<typeof VmDetails>;
const shownTarget = {
  target_vm_id: z.string().optional(),
  target_host: z.string().optional(),
  target_port: z.string().optional(),
  target_vm_details: VmDetails.optional(),
};
export const ReverseProxyHost = z
  .object({
    id: z.string(),
    host_id: z.string().optional(),
    name: z.string().optional(),
    host: z.string(),
    port: z.string(),
    tls: z.object({ enabled: z.boolean().optional(), cert: z.string().optional(), key: z.string().optional() }).optional(),
    cors: z
      .object({
        enabled: z.boolean().optional(),
        allowed_origins: z.array(z.string()).optional(),
        allowed_methods: z.array(z.string()).optional(),
        allowed_headers: z.array(z.string()).optional(),
      })
      .optional(),
    http_routes: z
      .array(
        z.object({
          id: z.string(),
          order: z.int(),
          path: z.string().optional(),
          pattern: z.string().optional(),
          schema: z.string().optional(),
          request_headers: z.record(z.string(), z.string()).optional(),
          response_headers: z.record(z.string(), z.string()).optional(),
          ...shownTarget,
        }),
      )
      .optional(),
    tcp_route: z.object({ id: z.string(), ...shownTarget }).optional(),
  })
  .meta({ id: "ReverseProxyHost" });
export const ReverseProxy = z
  .object({
    id: z.string().optional(),
    host_id: z.string().optional(),
    enabled: z.boolean().meta({ description: "Whether traffic is carried. It is not yet, so this is false." }),
    wanted: z.boolean().optional().meta({ description: "What `enable` and `disable` asked for last." }),
    host: z.string().optional(),
    port: z.string().optional(),
  })
  .meta({ id: "ReverseProxy" });

const refuse = (why: string) => refusal(400, `Invalid request body: error 400: ${why}`);

/** Certificate and key, as they are sealed. */
export type TlsPair = z.infer<typeof Tls>;
/** A key is never shown again; sent back like this, it stays what it was. */
const hidden = "********";

/** Where a proxy listens. */
export function addressIn({ host, port }: { host: string; port: string }): { host: string; port: number } {
  if (host === "") throw refuse("missing host");
  if (!/^[\w.:-]{1,253}$/.test(host)) throw refuse("host: a name or an address without scheme and port");
  if (port === "") throw refuse("missing port");
  return { host, port: portIn("port", port) };
}

function portIn(name: string, written: string): number {
  const port = /^\d{1,5}$/.test(written) ? Number(written) : 0;
  if (port < 1 || port > 65_535) throw refuse(`${name}: "${written.slice(0, 16)}" is no port; ports are 1 to 65535`);
  return port;
}

/** Undefined leaves what is there. */
export function tlsIn(sent: TlsPair | undefined, before: TlsPair | null): TlsPair | undefined {
  if (!sent) return undefined;
  const key = sent.key === hidden && before ? before.key : sent.key;
  if (sent.cert === "" || key === "" || key === hidden) throw refuse("tls needs cert and key");
  return { ...sent, key };
}

/** What browsers ask for when nobody says which. */
const usualMethods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
const usualHeaders = ["X-Requested-With", "Authorization", "Content-Type"];
export function corsIn(sent: z.output<typeof CorsRequest> | undefined): Cors | undefined {
  if (!sent) return undefined;
  const { enabled, allowed_origins: origins, allowed_methods: methods, allowed_headers: headers } = sent;
  const or = (given: string[], usual: string[]) => (enabled && given.length === 0 ? usual : given);
  return { enabled, origins: or(origins, ["*"]), methods: or(methods, usualMethods), headers: or(headers, usualHeaders) };
}

function targetIn({ target_vm_id: machine, target_host: host, target_port: port }: z.output<typeof TcpRouteRequest>): TcpRoute["target"] {
  if (machine === "" && host === "") throw refuse("a route needs target_host or target_vm_id");
  if (port === "") throw refuse("a route needs target_port");
  if (host !== "" && !/^[\w.:-]{1,253}$/.test(host)) throw refuse("target_host: a name or an address without scheme and port");
  return { machine: machine || null, host: host || null, port: portIn("target_port", port) };
}

export const tcpRouteIn = (sent: z.output<typeof TcpRouteRequest>): TcpRoute => ({ id: crypto.randomUUID(), target: targetIn(sent) });

const schemes = { "": "http", http: "http", https: "https" } as const;
const isScheme = (word: string): word is keyof typeof schemes => word in schemes;

export function httpRouteIn(sent: z.output<typeof HttpRouteRequest>): HttpRoute {
  const { path, pattern, schema } = sent;
  if ((path === "") === (pattern === "")) throw refuse("a route needs either path or pattern");
  if (path !== "" && !/^\/[\x21-\x7e]{0,1023}$/.test(path)) throw refuse("path: it begins with / and holds no blanks");
  const judged = pattern === "" ? null : compiled(pattern);
  if (judged?.ok === false) throw refuse(`pattern: ${judged.reason}`);
  if (!isScheme(schema)) throw refuse("schema: http or https");
  return {
    id: crypto.randomUUID(),
    match: path === "" ? { kind: "pattern", text: pattern } : { kind: "path", text: path },
    target: targetIn(sent),
    scheme: schemes[schema],
    requestHeaders: headersIn("request_headers", sent.request_headers),
    responseHeaders: headersIn("response_headers", sent.response_headers),
  };
}

function headersIn(field: string, sent: Record<string, string>): Record<string, string> {
  for (const [name, value] of Object.entries(sent))
    if (!/^[\w!#$%&'*+.^`|~-]{1,256}$/.test(name) || !/^[\t\x20-\x7e]{0,4096}$/.test(value))
      throw refuse(`${field}: ${JSON.stringify(name.slice(0, 64))} is no header`);
  return sent;
}

/** What a machine's target is just now; null where there is no such machine. */
export type Details = (machine: string) => VmDetails | null;

/** `fleet`: as an orchestrator shows it, with its host. */
export function wireProxyHost(
  { id, hostId, name, host, port, cors, httpRoutes, tcpRoute }: ProxyHost,
  tls: TlsPair | null,
  { fleet, details }: { fleet: boolean; details: Details },
): z.input<typeof ReverseProxyHost> {
  const shown = ({ machine, host: address, port: at }: TcpRoute["target"]) => ({
    ...present({ target_vm_id: machine, target_host: address }),
    target_port: String(at),
    ...present({ target_vm_details: machine === null ? null : details(machine) }),
  });
  const routes = httpRoutes.map(({ id: routeId, match, target: to, scheme, requestHeaders, responseHeaders }, index) => ({
    id: routeId,
    order: index + 1,
    [match.kind]: match.text,
    ...shown(to),
    ...(scheme === "http" ? {} : { schema: scheme }),
    ...(Object.keys(requestHeaders).length === 0 ? {} : { request_headers: requestHeaders }),
    ...(Object.keys(responseHeaders).length === 0 ? {} : { response_headers: responseHeaders }),
  }));
  return {
    id,
    ...(fleet ? { host_id: hostId } : {}),
    ...present({ name }),
    host,
    port: String(port),
    ...(tls ? { tls: { enabled: tls.enabled, cert: tls.cert, key: hidden } } : {}),
    ...(cors
      ? {
          cors: {
            ...present({ enabled: cors.enabled }),
            ...present({ allowed_origins: cors.origins, allowed_methods: cors.methods, allowed_headers: cors.headers }),
          },
        }
      : {}),
    ...present({ http_routes: routes }),
    ...(tcpRoute ? { tcp_route: { id: tcpRoute.id, ...shown(tcpRoute.target) } } : {}),
  };
}
