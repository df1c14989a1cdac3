/** Whoever answers in the place of another catalog: what it says is told as its own, and none of it is believed. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { World } from "./world.ts";

interface Talk {
  readonly asRoot: (method: string, path: string, body?: unknown, headers?: Record<string, string>) => ReturnType<World["call"]>;
  /** A catalog manager; answers its id. */
  readonly made: (more: object) => Promise<string>;
  readonly managers: string;
  readonly hostId: () => string;
}

export function describeLyingCatalog({ asRoot, made, managers, hostId }: Talk): void {
  describe("whoever answers in its place", () => {
    let liar: Server;
    let answer: (path: string) => { status: number; headers?: Record<string, string>; body: string };
    const seen: { path: string; authorization: string }[] = [];
    let id: string;
    beforeAll(async () => {
      liar = createServer((request, response) => {
        seen.push({ path: request.url ?? "", authorization: String(request.headers.authorization ?? request.headers["x-api-key"] ?? "") });
        const { status, headers = {}, body } = answer(request.url ?? "");
        response.writeHead(status, { "Content-Type": "application/json", ...headers }).end(body);
      });
      await new Promise<void>((resolve) => liar.listen(0, "127.0.0.1", resolve));
      answer = () => ({ status: 200, body: "[]" });
      id = await made({
        name: "liar",
        url: `http://127.0.0.1:${(liar.address() as AddressInfo).port}`,
        username: "",
        password: "",
        api_key: "a2V5OnNlY3JldA==",
      });
    });
    afterAll(() => new Promise((resolve) => liar.close(resolve)));
    const list = () => asRoot("GET", `${managers}/${id}/catalog`);

    it.each([
      ["a redirect", { status: 302, headers: { Location: "http://169.254.169.254/" }, body: "" }, 502],
      ["a failure", { status: 500, body: "stack at main.go:5" }, 502],
      ["a refusal of the manager", { status: 401, body: '{"error":"unauthorized_client"}' }, 502],
      ["what is no JSON", { status: 200, body: "<html>" }, 502],
      ["a refusal", { status: 404, body: '{"message":"nothing here","code":404}' }, 404],
    ])("with %s is told as such", async (_, told, status) => {
      answer = () => told;
      const before = seen.length;
      const refused = await list();
      expect([refused.status, refused.body.code]).toEqual([status, status]);
      expect(refused.text).not.toContain("main.go");
      expect(seen.slice(before).every(({ path }) => path.startsWith("/api/v1/catalog"))).toBe(true);
    });

    it("is believed in nothing that is a secret", async () => {
      const provider = { type: "aws-s3", user: "u", password: "hush-hush", api_key: "hush-hush", meta: { secret_key: "hush-hush" } };
      answer = () => ({ status: 200, body: JSON.stringify([{ X: [{ catalog_id: "X", provider, connection: "hush-hush" }] }]) });
      const { text } = await list();
      expect(text).not.toContain("hush");
      expect(JSON.parse(text)).toEqual([{ X: [{ catalog_id: "X", provider: { type: "aws-s3" } }] }]);
    });

    it("does not have the hub open a folder of its own, nor a store that only a super user may add", async () => {
      const manifest = { catalog_id: "X", version: "1", architecture: "arm64", pack_filename: "x.pdpack", path: "/x" };
      const told = (provider: object) => (path: string) => ({
        status: 200,
        body: JSON.stringify(path.endsWith("/download") ? { ...manifest, provider } : [{ ...manifest, provider: {} }]),
      });
      answer = told({ type: "local-storage", meta: { catalog_path: "/etc" } });
      const pull = { catalog_id: "X", machine_name: "m" };
      const refused = await asRoot("PUT", `${managers}/${id}/catalog/pull`, pull, { "X-Drover-Host": hostId() });
      expect([refused.status, refused.body.message]).toEqual([400, expect.stringContaining("on the disk of the other service")]);
    });
  });
}
