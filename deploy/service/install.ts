/**
 * Puts the host worker's service in place, or takes it away.
 *
 * The one idea: both are ensures: what stands is compared with what is wanted, so a second run changes nothing and ends no worker, and a run that was cut short
 * is finished by the next one.
 */
import { execFile } from "node:child_process";
import { chown, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { FaultError } from "../../domain/errors.ts";
import { label, logOf, serviceFile, unit, type Manager, type ServiceSpec } from "./files.ts";

/** Where the service manager and its folders are: `/` and PATH, but for tests. */
export interface System {
  readonly root: string;
  readonly path: string;
}

export interface Installed {
  readonly path: string;
  readonly changed: boolean;
}

/** A service manager answers in a second; one that waits for the end of an older worker takes half a minute. */
const limitMs = 60_000;

export async function installService(spec: ServiceSpec, system: System): Promise<Installed> {
  const { path, text } = serviceFile(spec);
  const place = join(system.root, path);
  const changed = (await readFile(place, "utf8").catch(() => null)) !== text;
  if (changed) await replace(place, text);
  await commandsOf[spec.manager].start({ place, changed, run: runner(system) });
  return { path, changed };
}

export async function uninstallService(spec: Pick<ServiceSpec, "manager" | "home">, system: System): Promise<Installed> {
  const { path } = serviceFile({ ...spec, command: [], user: "", environment: {} });
  const place = join(system.root, path);
  const there = (await readFile(place, "utf8").catch(() => null)) !== null;
  const run = runner(system);
  await commandsOf[spec.manager].stop({ run });
  await asRoot(place, () => rm(place, { force: true }));
  await commandsOf[spec.manager].removed({ run });
  if (spec.manager === "launchd") await rm(join(system.root, logOf(spec.home)), { force: true });
  return { path, changed: there };
}

/** Under `sudo` the files of the host are made by root; its worker runs as somebody else and must read them. */
export async function handOver(paths: readonly string[], { uid, gid }: { uid: number; gid: number }): Promise<void> {
  for (const path of paths) await chown(path, uid, gid);
}

async function replace(place: string, text: string): Promise<void> {
  await asRoot(place, async () => {
    await mkdir(dirname(place), { recursive: true });
    const aside = `${place}.new`;
    await writeFile(aside, text, { mode: 0o644 });
    await rename(aside, place);
  });
}

async function asRoot(place: string, act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code !== "EACCES" && code !== "EPERM" && code !== "EROFS") throw cause;
    throw new FaultError({ code: "service_refused", message: `${place} may not be written by this user.`, subject: place }, { cause });
  }
}

type Run = (argv: readonly string[], options?: { may: "fail" }) => Promise<boolean>;
interface Commands {
  start(ask: { place: string; changed: boolean; run: Run }): Promise<void>;
  stop(ask: { run: Run }): Promise<void>;
  removed(ask: { run: Run }): Promise<void>;
}

const commandsOf: Readonly<Record<Manager, Commands>> = {
  launchd: {
    start: async ({ place, changed, run }) => {
      const runs = await run(["launchctl", "print", `system/${label}`], { may: "fail" });
      if (runs && !changed) return;
      if (runs) await run(["launchctl", "bootout", `system/${label}`], { may: "fail" });
      // Whoever disabled it before, or an older release, is overruled: it is wanted now.
      await run(["launchctl", "enable", `system/${label}`]);
      await run(["launchctl", "bootstrap", "system", place]);
    },
    stop: async ({ run }) => void (await run(["launchctl", "bootout", `system/${label}`], { may: "fail" })),
    removed: async () => {},
  },
  systemd: {
    start: async ({ changed, run }) => {
      if (changed) await run(["systemctl", "daemon-reload"]);
      await run(["systemctl", "enable", unit]);
      await run(["systemctl", changed ? "restart" : "start", unit]);
    },
    stop: async ({ run }) => void (await run(["systemctl", "disable", "--now", unit], { may: "fail" })),
    removed: async ({ run }) => void (await run(["systemctl", "daemon-reload"])),
  },
};

const execute = promisify(execFile);

const runner =
  ({ path }: System): Run =>
  async ([program = "", ...args], options) => {
    try {
      await execute(program, args, { timeout: limitMs, env: { PATH: path } });
      return true;
    } catch (cause) {
      if (options?.may === "fail" && (cause as NodeJS.ErrnoException).code !== "ENOENT") return false;
      const { stderr = "", message } = cause as { stderr?: string; message: string };
      const said = (stderr.trim() || message).slice(0, 500);
      throw new FaultError({ code: "service_refused", message: `\`${[program, ...args].join(" ")}\` failed: ${said}` }, { cause });
    }
  };
