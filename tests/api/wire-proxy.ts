/** The wire's reverse proxy: stored whole, returned as clients parse it, refused where it could mean two things. */
import { describe, expect, it } from "vitest";
import type { World } from "./world.ts";

export interface Talk {
  readonly world: () => World;
  readonly hostId: () => string;
  as(method: string, path: string, body?: unknown, headers?: Record<string, string>): ReturnType<World["call"]>;
}

const http = { path: "/api", target_host: "127.0.0.1", target_port: "9000", request_headers: { "X-From": "proxy" } };
const tcp = { target_host: "127.0.0.1", target_port: "22" };
const paths = (body: { http_routes?: { path?: string; pattern?: string; order: number }[] }) =>
  (body.http_routes ?? []).map(({ path, pattern, order }) => `${order} ${path ?? pattern}`);

export function describeProxy({ world, hostId, as }: Talk): void {
  const on = (path: string) => `/api/v1/reverse-proxy${path}`;
  const add = async (body: object) => (await as("POST", on("/hosts"), { host: "localhost", ...body })).body.id as string;

  describe("the reverse proxy", () => {
    it("says that it carries no traffic, whatever was asked for", async () => {
      expect(await as("PUT", on("/enable"))).toMatchObject({ status: 202, text: "" });
      expect(await as("GET", on(""))).toMatchObject({ status: 200, body: { enabled: false, wanted: true } });
      expect((await as("PUT", on("/disable"))).status).toBe(202);
      expect((await as("PUT", on("/restart"))).status).toBe(202);
      expect((await as("GET", `/api/v1/orchestrator/hosts/${hostId()}/reverse-proxy`)).body).toEqual({
        id: hostId(),
        host_id: hostId(),
        enabled: false,
        wanted: false,
      });
    });

    it("keeps a host with its routes in their order, through upsert, move and removal", async () => {
      const made = await as("POST", on("/hosts"), {
        name: "web",
        host: "localhost",
        port: "18085",
        http_routes: [http, { ...http, path: "/" }],
      });
      expect(made).toMatchObject({ status: 201, body: { name: "web", host: "localhost", port: "18085" } });
      expect(made.body.http_routes[0]).toMatchObject({ ...http, order: 1 });
      const one = on(`/hosts/${made.body.id}`);
      const added = await as("POST", `${one}/http_routes`, { pattern: "^/v[0-9]+", target_host: "b", target_port: "1", order: 1 });
      expect([added.status, paths(added.body)]).toEqual([201, ["1 ^/v[0-9]+", "2 /api", "3 /"]]);
      const again = await as("POST", `${one}/http_route`, { ...http, target_port: "9001" });
      expect(again.body.http_routes[1]).toMatchObject({ id: made.body.http_routes[0].id, target_port: "9001" });
      const moved = await as("PUT", `${one}/http_routes/order`, { ID: made.body.http_routes[1].id, Order: 1 });
      expect([moved.status, paths(moved.body)]).toEqual([200, ["1 /", "2 ^/v[0-9]+", "3 /api"]]);
      expect((await as("DELETE", `${one}/http_routes/${made.body.http_routes[1].id}`)).status).toBe(202);
      expect((await as("DELETE", `${one}/http_routes/${made.body.http_routes[1].id}`)).status).toBe(404);
      expect(paths((await as("GET", one)).body)).toEqual(["1 ^/v[0-9]+", "2 /api"]);
      expect(await as("PUT", one, { name: "web2", host: "localhost", port: "18088" })).toMatchObject({
        status: 201,
        body: { name: "web2", port: "18088" },
      });
      expect(paths((await as("GET", one)).body)).toHaveLength(2);
      expect((await as("DELETE", one)).status).toBe(202);
      expect(await as("GET", one)).toMatchObject({ status: 404, body: { message: "error 404: reverse proxy host not found", code: 404 } });
    });

    it("lets two who add a route at once both find theirs", async () => {
      const id = await add({ port: "18100", http_routes: [http] });
      const all = await Promise.all(["/a", "/b", "/c", "/d"].map((path) => as("POST", on(`/hosts/${id}/http_routes`), { ...http, path })));
      expect(all.map(({ status }) => status)).toEqual([201, 201, 201, 201]);
      expect(paths((await as("GET", on(`/hosts/${id}`))).body)).toHaveLength(5);
    });

    it("keeps HTTP and TCP apart, and one host per address", async () => {
      const id = await add({ port: "18086", tcp_route: tcp });
      expect(await as("POST", on(`/hosts/${id}/http_routes`), http)).toMatchObject({
        status: 400,
        body: { message: "cannot update reverse proxy HTTP route when TCP routes are present", code: 400 },
      });
      expect((await as("POST", on(`/hosts/${id}/tcp_route`), { ...tcp, target_port: "2222" })).body.tcp_route.target_port).toBe("2222");
      const other = await add({ port: "18087", http_routes: [http] });
      expect((await as("POST", on(`/hosts/${other}/tcp_route`), tcp)).status).toBe(400);
      expect((await as("PUT", on(`/hosts/${id}`), { host: "localhost", port: "18086", cors: { enabled: true } })).status).toBe(400);
      const taken = `error 400: reverse proxy host LOCALHOST:18086 already exists with ID ${id}`;
      expect(await as("POST", on("/hosts"), { host: "LOCALHOST", port: "18086", http_routes: [http] })).toMatchObject({
        status: 400,
        body: { message: taken },
      });
      expect((await as("PUT", on(`/hosts/${other}`), { host: "localhost", port: "18086" })).status).toBe(400);
    });

    it.each([
      [{ host: "", port: "1", http_routes: [http] }, /missing host/],
      [{ host: "a", port: "", http_routes: [http] }, /missing port/],
      [{ host: "a", port: "70000", http_routes: [http] }, /1 to 65535/],
      [{ host: "a", port: "1" }, /http_routes or tcp_route/],
      [{ host: "a", port: "1", http_routes: [http], tcp_route: tcp }, /exclude each other/],
      [{ host: "a", port: "1", tcp_route: tcp, tls: { cert: "c", key: "k" } }, /neither cors nor tls/],
      [{ host: "a", port: "1", http_routes: [http], tls: { cert: "c" } }, /cert and key/],
      [{ host: "a", port: "1", http_routes: [{ ...http, pattern: "x" }] }, /either path or pattern/],
      [{ host: "a", port: "1", http_routes: [{ ...http, path: "", pattern: "([" }] }, /no regular expression/],
      [{ host: "a", port: "1", http_routes: [{ ...http, path: "", pattern: "(a+)+$" }] }, /repeats a repetition/],
      [{ host: "a", port: "1", http_routes: [{ ...http, target_host: "" }] }, /target_host or target_vm_id/],
      [{ host: "a", port: "1", http_routes: [{ ...http, target_port: "" }] }, /target_port/],
      [{ host: "a", port: "1", http_routes: [{ ...http, request_headers: { "X: y": "1" } }] }, /no header/],
    ])("refuses %j and says why", async (body, why) => {
      const answer = await as("POST", on("/hosts"), body);
      expect(answer.status).toBe(400);
      expect(answer.body.message).toMatch(why);
    });

    it("seals a TLS key, never shows it, and keeps it when it is sent back masked", async () => {
      const id = await add({
        port: "18443",
        http_routes: [http],
        tls: { enabled: true, cert: "CERT", key: "TOP-SECRET" },
        cors: { enabled: true },
      });
      const shown = await as("GET", on(`/hosts/${id}`));
      expect(shown.body).toMatchObject({ tls: { enabled: true, cert: "CERT", key: "********" }, cors: { allowed_origins: ["*"] } });
      expect(shown.body.cors.allowed_methods).toContain("PATCH");
      const masked = { host: "localhost", port: "18444", tls: { enabled: true, cert: "CERT2", key: "********" } };
      expect((await as("PUT", on(`/hosts/${id}`), masked)).body.tls).toEqual({ enabled: true, cert: "CERT2", key: "********" });
      const [row] = await world().sql`select encode(sealed_tls, 'escape') as sealed from proxy_hosts where id = ${id}`;
      expect(row?.["sealed"]).not.toContain("SECRET");
    });

    it("answers for the fleet with the statuses of that family, and asks for its claims", async () => {
      const fleet = `/api/v1/orchestrator/hosts/${hostId()}/reverse-proxy`;
      const made = await as("POST", `${fleet}/hosts`, { host: "localhost", port: "18200", http_routes: [http] });
      expect(made).toMatchObject({ status: 200, body: { host_id: hostId() } });
      expect((await as("POST", `${fleet}/hosts/${made.body.id}/http_routes`, { ...http, path: "/x" })).status).toBe(200);
      expect((await as("GET", on("/hosts"), undefined, { "X-Filter": "port=18200" })).body).toHaveLength(1);
      expect((await as("GET", "/api/v1/orchestrator/hosts/nope/reverse-proxy/hosts")).status).toBe(404);
      expect((await world().call("GET", on(""))).status).toBe(401);
    });
  });
}
