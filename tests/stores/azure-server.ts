/**
 * A real Blob service for tests: Azurite from npm, one process on a port of its own, with everything in memory.
 *
 * It is fetched once into the project's cache and not with the product: it is larger than all of it. Each start has an account and a key of its own.
 */
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { copyFile, mkdir, mkdtemp, rename, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { ContainerClient, StorageSharedKeyCredential } from "@azure/storage-blob";
import { freePorts } from "../../deploy/ports.ts";

const run = promisify(execFile);
const version = "3.37.0";
const cache = new URL("../../node_modules/.cache/drover/", import.meta.url).pathname;

export interface AzureServer {
  /** With the account in its path. */
  readonly endpoint: string;
  readonly account: string;
  readonly accountKey: string;
  /** Makes a container that is empty and nobody else's, and answers its name. */
  makeContainer(): Promise<string>;
  stop(): Promise<void>;
}

/** With a certificate it speaks TLS and takes tokens of identities too. */
export async function startAzureServer(tls?: { certificatePath: string; keyPath: string }): Promise<AzureServer> {
  const program = await azuriteProgram();
  const folder = await mkdtemp(join(tmpdir(), "drover-azure-"));
  const account = `test${randomBytes(4).toString("hex")}`;
  const accountKey = randomBytes(64).toString("base64");
  const [port = 0] = await freePorts(1);
  const args = [
    program,
    "--blobHost",
    "127.0.0.1",
    "--blobPort",
    String(port),
    "--inMemoryPersistence",
    "--silent",
    "--skipApiVersionCheck",
    // The account stands in the path, also where the server is reached by a name.
    "--disableProductStyleUrl",
  ];
  const secure = tls ? ["--cert", tls.certificatePath, "--key", tls.keyPath, "--oauth", "basic"] : [];
  const env = { ...process.env, AZURITE_ACCOUNTS: `${account}:${accountKey}` };
  const child = spawn(process.execPath, [...args, ...secure], { stdio: ["ignore", "pipe", "inherit"], cwd: folder, env });
  const stop = () => stopped(child, folder);
  await ready(child).catch(async (error: unknown) => {
    await stop();
    throw error;
  });
  const endpoint = `${tls ? "https" : "http"}://127.0.0.1:${port}/${account}`;
  // Containers are made with the key, over TLS by whoever trusts the certificate: the tests of identities make theirs by themselves.
  const makeContainer = async () => {
    const name = `drover-${randomBytes(6).toString("hex")}`;
    await new ContainerClient(`${endpoint}/${name}`, new StorageSharedKeyCredential(account, accountKey)).create();
    return name;
  };
  return { endpoint, account, accountKey, makeContainer, stop };
}

/** Up once it says so. */
function ready(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    // 60 s: it takes one second on a quiet computer, and tests share theirs.
    const timer = setTimeout(() => reject(new Error("Azurite did not come up within 60 s.")), 60_000);
    child.stdout?.on("data", (text: Buffer) => text.includes("successfully listens on") && (clearTimeout(timer), resolve()));
    child.once("exit", (code) => (clearTimeout(timer), reject(new Error(`Azurite ended with code ${code} at its start.`))));
  });
}

async function stopped(child: ChildProcess, folder: string): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL"); // Its data is thrown away, so it need not end in order.
    await ended;
  }
  await rm(folder, { recursive: true, force: true });
}

async function azuriteProgram(): Promise<string> {
  const home = join(cache, `azurite-${version}`);
  const program = join(home, "node_modules", "azurite", "dist", "src", "blob", "main.js");
  if (await stat(program).catch(() => null)) return program;
  const work = await mkdir(cache, { recursive: true }).then(() => mkdtemp(join(cache, "fetch-")));
  try {
    // By a lock: what it needs today may not be what it needed, or be there at all.
    for (const name of ["package.json", "package-lock.json"]) await copyFile(new URL(`azurite/${name}`, import.meta.url), join(work, name));
    const options = ["--no-audit", "--no-fund", "--ignore-scripts", "--omit=optional", "--loglevel=error"];
    await run("npm", ["ci", ...options], { cwd: work, timeout: 180_000 });
    // Of two that fetch at once, the first wins.
    await rename(work, home).catch(() => undefined);
    return program;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
