/** Images of the Parallels DevOps service, on the whole stack: written for it, taken from it, and machines made of them. */
import { cp, mkdir, readdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { ImageVersion } from "../../../domain/catalog/schema.ts";
import { host, provision, stack } from "./world.ts";

const fixtures = new URL("../../pdpack/fixtures/gzip/fix-sonoma/", import.meta.url).pathname;
const show = (image: string) => stack.json<ImageVersion>("image", "show", image);

interface Imported {
  readonly state: string;
  readonly result: { readonly digest?: string; readonly generation?: number };
}

export const describeArchives = () =>
  describe("images of the Parallels DevOps service", () => {
    const catalog = () => join(stack.home, "catalog");
    const storeOf = async () =>
      (await stack.json<{ id: string; location: string }[]>("store", "list")).find(({ location }) => location.endsWith(catalog()))?.id ??
      "";

    it("are written from ours and come back as the same image, of which a machine is made before anything was converted", async () => {
      const before = await show("base:1");
      const exported = await stack.json<{ result: { packKey: string } }>(
        "image",
        "export",
        "base:1",
        "--format",
        "pdpack",
        "--to",
        catalog(),
      );
      const name = `base-${before.architecture}-1`;
      expect(exported.result.packKey).toBe(`base/${name}.pdpack`);
      expect((await readdir(join(catalog(), "base"))).toSorted()).toEqual([`${name}.meta`, `${name}.pdpack`]);
      expect((await stack.drover("image", "export", "base:1", "--to", catalog())).stderr).toContain("image_exists");

      await stack.json("image", "delete", "base:1");
      const store = await storeOf();
      await stack.json("image", "import", "base:1", "--store", store);
      const archived = await show("base:1");
      expect(archived).toMatchObject({ generation: 0, storeId: store, logicalBytes: before.logicalBytes, kind: before.kind });
      // Only a name until a host has looked.
      expect(archived.digest).not.toBe(before.digest);

      const { machine, operation } = await provision({ name: "from-archive", image: "base" });
      expect(operation).toMatchObject({
        state: "done",
        steps: expect.arrayContaining([expect.objectContaining({ name: "record digest", state: "done" })]),
      });
      const measured = await show("base:1");
      expect(measured).toMatchObject({ generation: 0, vcpus: before.vcpus, guestOs: before.guestOs });
      expect(await stack.json("machine", "show", machine.id)).toMatchObject({ digest: measured.digest, observed: "running" });
      // Known by now, and in the host's cache: nothing travels again.
      const again = await stack.json<{ result: { wasCached: boolean } }>("pull", "base:1", "--host", host);
      expect(again.result.wasCached).toBe(true);
      await stack.json("machine", "delete", "from-archive");
    }, 180_000);

    it("are listed with what is wrong with them, and imported all at once; the same again changes nothing", async () => {
      await cp(fixtures, join(catalog(), "fix-sonoma"), { recursive: true });
      await mkdir(join(catalog(), "broken"), { recursive: true });
      await cp(join(fixtures, "fix-sonoma-arm64-1.0.0.meta"), join(catalog(), "broken", "broken-arm64-1.meta"));
      const store = await storeOf();
      const listed = await stack.json<{ manifestKey: string; imported: boolean; problem: string | null }[]>(
        "image",
        "import",
        "--list",
        "--store",
        store,
      );
      expect(listed).toMatchObject([
        { catalogId: "base", imported: true, problem: null },
        { manifestKey: "broken/broken-arm64-1.meta", problem: expect.stringContaining("is not there") },
        {
          catalogId: "fix-sonoma",
          version: "1.0.0",
          architecture: "arm64",
          kind: "pvm",
          imported: false,
          packBytes: 37_793,
          problem: null,
        },
      ]);
      await rename(join(catalog(), "broken"), join(stack.home, "broken"));
      expect(await stack.json("image", "import", "--all", "--store", store)).toMatchObject([
        { image: "fix-sonoma:1.0.0/arm64", state: "done" },
      ]);
      expect(await stack.json("image", "import", "--all", "--store", store)).toEqual([]);
      await stack.json("image", "import", "fix-sonoma:1.0.0", "--store", store);
      expect(await show("fix-sonoma:1.0.0")).toMatchObject({ tags: ["fixture", "latest"], description: "gzip fixture", generation: 0 });
    }, 120_000);

    it("are converted on request: the version points to a tree in the default store, and the archive is needed no more", async () => {
      const store = await storeOf();
      const converted = await stack.json<Imported>("image", "import", "fix-sonoma:1.0.0", "--store", store, "--convert");
      expect(converted).toMatchObject({ state: "done", result: { generation: 1 } });
      const after = await show("fix-sonoma:1.0.0");
      expect(after).toMatchObject({ generation: 1, digest: converted.result.digest });
      expect(after.storeId).not.toBe(store);
      await rename(join(catalog(), "fix-sonoma"), join(stack.home, "gone"));
      await stack.json("cache", "prune", host).catch(() => undefined);
      expect(await stack.json("pull", "fix-sonoma:1.0.0", "--host", host)).toMatchObject({ state: "done" });
    }, 120_000);

    it("are imported by the service's own routes, and refused in its words", async () => {
      await rename(join(stack.home, "gone"), join(catalog(), "fix-sonoma"));
      await stack.json("image", "delete", "fix-sonoma:1.0.0");
      const { url, session } = stack.client;
      const put = async (path: string, body: Record<string, unknown>) => {
        const headers = { ...(await session.headers()), "content-type": "application/json" };
        const answer = await fetch(`${url}/api/v1/catalog/${path}`, { method: "PUT", headers, body: JSON.stringify(body) });
        return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
      };
      const connection = `provider=local-storage;catalog_path=${catalog()}`;
      const named = { catalog_id: "fix-sonoma", version: "1.0.0", architecture: "arm64", connection };
      const made = await put("import", named);
      expect(made).toEqual({ status: 200, body: { id: (await show("fix-sonoma:1.0.0")).id } });
      const refused = async (path: string, body: Record<string, unknown>) => (await put(path, body)).body;
      expect(await refused("import", named)).toEqual({
        code: 400,
        message: "Error importing manifest: \n\nerror: Catalog manifest already exists: fix-sonoma-arm64-1.0.0 ",
      });
      expect(await refused("import", { ...named, catalog_id: "zzz" })).toEqual({
        code: 400,
        message: "Error importing manifest: \n\nerror: meta file zzz does not exist ",
      });
      expect(await refused("import", { catalog_id: "x" })).toEqual({
        code: 400,
        message: "Invalid request body: error 400: missing version",
      });
      const vm = { ...named, catalog_id: "raw", machine_remote_path: "/fix-sonoma/fix-sonoma-arm64-1.0.0.pdpack", type: "pvm" };
      expect(await refused("import-vm", vm)).toEqual({ code: 400, message: "Invalid request body: error 400: missing size" });
      expect(await put("import-vm", { ...vm, size: 1, tags: ["raw"] })).toMatchObject({ status: 200 });
      expect(await show("raw:1.0.0")).toMatchObject({ generation: 0, logicalBytes: 1024 ** 2, tags: ["raw", "latest"] });
      // Without a manifest, and still the same image.
      const raw = await stack.json<Imported>(
        "image",
        "import",
        "raw:1.0.0/arm64",
        "--store",
        await storeOf(),
        "--archive",
        vm.machine_remote_path,
        "--size",
        "1MB",
        "--convert",
      );
      expect(raw.state).toBe("done");
      await stack.json("pull", "fix-sonoma:1.0.0", "--host", host);
      expect((await show("raw:1.0.0")).digest).toBe((await show("fix-sonoma:1.0.0")).digest);
    }, 120_000);
  });
