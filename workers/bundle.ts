/**
 * The workflow code as one file that the sandbox can load: read where it was built ahead, else built from the sources and kept.
 *
 * The one idea: a bundle is named by the hash of all that it is made from, so one that is found is right, and a change of any source makes another.
 */
import { createHash, randomUUID } from "node:crypto";
import { access, glob, mkdir, readFile, rename, stat, utimes, writeFile, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { bundleWorkflowCode, type Logger, type WorkflowBundleOption } from "@temporalio/worker";
import { failureConverterPath } from "./temporal.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const workflowsPath = join(root, "workflows/index.ts");
/** Where the published package and images have it. */
const builtPath = join(root, "dist/workflows.js");
/** Beside the packages that made it, and dropped with them. */
const cacheFolder = join(root, "node_modules/.cache/drover");
/** What a bundle is made from: workflows import the vocabulary only, and the lock file names the exact SDK. */
const sources = ["workflows/**/*.ts", "domain/**/*.ts", "workers/{bundle,failure-converter}.ts", "package-lock.json", "tsconfig.json"];
/** Bundles of other branches and releases are of no use for long. */
const keptMs = 30 * 24 * 3_600_000;

export async function workflowBundle(logger: Logger): Promise<WorkflowBundleOption> {
  if (await exists(builtPath)) return { codePath: builtPath };
  const path = join(cacheFolder, `workflows-${await sourcesHash()}.js`);
  if (await exists(path)) {
    await utimes(path, new Date(), new Date()).catch(() => undefined);
    return { codePath: path };
  }
  const bundle = await bundleWorkflowCode({ workflowsPath, failureConverterPath, logger });
  // A folder that may not be written costs the next start three seconds and nothing else.
  await keep(path, bundle.code).catch(() => undefined);
  return bundle;
}

/** Builds ahead, for a package or an image; answers where the bundle lies. */
export async function buildBundle(logger: Logger): Promise<string> {
  const { code } = await bundleWorkflowCode({ workflowsPath, failureConverterPath, logger });
  await mkdir(dirname(builtPath), { recursive: true });
  await writeFile(builtPath, code);
  return builtPath;
}

async function sourcesHash(): Promise<string> {
  const found = await Array.fromAsync(glob(sources, { cwd: root, exclude: ["**/*.test.ts"] }));
  const hash = createHash("sha256");
  for (const name of found.toSorted())
    hash
      .update(name)
      .update("\0")
      .update(await readFile(join(root, name)))
      .update("\0");
  return hash.digest("hex").slice(0, 32);
}

/** Written aside and renamed: several processes may start at once. */
async function keep(path: string, code: string): Promise<void> {
  await mkdir(cacheFolder, { recursive: true });
  const aside = `${path}.${randomUUID()}`;
  await writeFile(aside, code);
  await rename(aside, path);
  for await (const name of glob("workflows-*", { cwd: cacheFolder })) {
    const old = join(cacheFolder, name);
    if (Date.now() - (await stat(old)).mtimeMs > keptMs) await rm(old, { force: true });
  }
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );
