/** What the host keeps ready for machines: filled ahead, kept as people say, and looked at before a machine is made of it. */
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openDatabase } from "../../../db/connect.ts";
import { host, retire, stack, wire } from "./world.ts";

interface Entry {
  readonly digest: string;
  readonly images: readonly string[];
  readonly pinned: boolean;
  readonly used: boolean;
}
interface Ended {
  readonly result: Record<string, unknown>;
  readonly steps: readonly { readonly name: string; readonly state: string }[];
}

const cached = () => stack.json<Entry[]>("cache", "list", "--host", host);
const entryOf = async (image: string) => (await cached()).find(({ images }) => images.some((name) => name.startsWith(`${image}/`)));

export const describeCaches = () =>
  describe("the host's cache", () => {
    it("gets an image before anybody asks, by a pull of its own that a step tells of, and once only", async () => {
      const first = await stack.json<Ended>("image", "prefetch", "mac:1", "--all");
      expect(first.result).toMatchObject({ hosts: 1, fetched: 1, cached: 0 });
      expect(first.steps.map(({ name, state }) => `${name} ${state}`)).toEqual(["plan done", `fetch: ${host} done`]);
      expect((await stack.json<Ended>("image", "prefetch", "mac:1", "--host", host)).result).toMatchObject({ fetched: 0, cached: 1 });
      await expect.poll(() => entryOf("mac"), { timeout: 60_000 }).toMatchObject({ used: true });
    }, 180_000);

    it("keeps what is pinned and what is used, whoever asks for all of it to go", async () => {
      await stack.json("cache", "pin", "mac:1", "--host", host);
      await expect.poll(async () => (await entryOf("mac"))?.pinned, { timeout: 60_000 }).toBe(true);
      const { result } = await stack.json<Ended>("cache", "prune", "--host", host, "--dry-run");
      const kept = result["kept"] as { digest: string; why: string }[];
      expect(kept.map(({ why }) => why)).toContain("pinned");
      const { url, session } = stack.client;
      const gone = await fetch(`${url}/api/v1/cache/mac/1`, { method: "DELETE", headers: await session.headers() });
      expect([gone.status, await gone.text()]).toEqual([202, ""]);
      const unknown = await fetch(`${url}/api/v1/cache/nobody/1`, { method: "DELETE", headers: await session.headers() });
      expect(unknown.status).toBe(404);
      const list = (await wire("/cache")) as { manifests: { name?: string; catalog_id: string }[] };
      expect(list.manifests.map(({ catalog_id }) => catalog_id)).toContain("MAC");
    }, 180_000);

    it("is found to be damaged before a machine is made of it, told, and filled anew", async () => {
      const digest = (await entryOf("base"))?.digest ?? "";
      const bundle = join(stack.home, "hosts", host, "cache", digest, "bundle");
      const disk = join(bundle, (await readdir(bundle, { recursive: true })).find((name) => name.endsWith(".hds")) ?? "no disk");
      const right = await readFile(disk);
      const wrong = Buffer.from(right);
      wrong.writeUInt8(wrong.readUInt8(right.byteLength - 1) ^ 1, right.byteLength - 1);
      await writeFile(disk, wrong);
      await stack.json("machine", "create", "sound", "--image", "base:1", "--no-start", "--cpus", "1", "--memory", "512M");
      expect((await readFile(disk)).equals(right)).toBe(true);
      const { sql, close } = openDatabase(stack.env["DATABASE_URL"] ?? "");
      const told = await sql<{ digest: string }[]>`select body->>'digest' as digest from events where name = 'host.cache_damaged'`;
      await close();
      expect(told.map((event) => event.digest)).toEqual([digest]);
      await retire("sound");
    }, 180_000);
  });
