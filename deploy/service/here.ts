/**
 * The host worker's service on this computer: what runs now is what the service will run.
 *
 * The one idea: the service runs this very Node and program with this configuration, so that a worker that starts by hand starts by the service too.
 */
import { execFileSync } from "node:child_process";
import { access } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";
import { aboutVariable, type VariableName } from "../../domain/config/variables.ts";
import type { Config } from "../../domain/config/schema.ts";
import { FaultError } from "../../domain/errors.ts";
import { serviceFile, type Manager, type ServiceSpec } from "./files.ts";
import { handOver, installService, uninstallService, type System } from "./install.ts";

interface Here {
  readonly config: Pick<Config, "home" | "chosen">;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Whose worker it is; whoever asks where nothing is said, through `sudo` too. */
  readonly user?: string | undefined;
}

function managerHere({ platform } = process): Manager {
  if (platform === "darwin") return "launchd";
  if (platform === "linux") return "systemd";
  throw new FaultError({ code: "invalid_request", message: `Services are for launchd and systemd; this computer runs ${platform}.` });
}

/** Bound to this computer; `user` as said on the command line. */
export function serviceHere(here: Here, system: System = { root: "/", path: servicePath }) {
  const spec = (user: string | undefined) => specHere({ ...here, user });
  return {
    file: async (user: string | undefined) => serviceFile(spec(user)),
    install: async (user: string | undefined) => {
      const wanted = spec(user);
      await mustBeEnrolled(wanted.home);
      const handed = toHandOver(wanted);
      if (handed) await handOver(handed.paths, handed.owner);
      return { ...(await installService(wanted, system)), user: wanted.user };
    },
    uninstall: () => uninstallService(spec(undefined), system),
  };
}

async function mustBeEnrolled(home: string): Promise<void> {
  const file = join(home, "identity.json");
  const there = await access(file).then(
    () => true,
    () => false,
  );
  if (there) return;
  throw new FaultError({ code: "host_unenrolled", message: `This computer is no host: there is no ${file}.`, subject: file });
}

function specHere({ config, env, user }: Here): ServiceSpec {
  const [, program = ""] = process.argv;
  const home = config.home;
  return {
    manager: managerHere(),
    command: [process.execPath, program, "run", "host"],
    user: user ?? ownerOf(env),
    home,
    environment: { PATH: servicePath, ...chosenOf(config.chosen, env), DROVER_HOME: home },
  };
}

/** What was set for this command, but no secrets: a host needs none, and the file is for everybody to read. */
function chosenOf(chosen: readonly VariableName[], env: Here["env"]): Record<string, string> {
  const given = chosen.flatMap((name) => (aboutVariable(name).secret === true ? [] : [[name, env[name] ?? ""] as const]));
  return Object.fromEntries(given);
}

/** Not the path of whoever asks, which is theirs. Parallels Desktop puts its commands where a service would not look by itself. */
const servicePath = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";

const ownerOf = (env: Here["env"]): string => (process.getuid?.() === 0 && env["SUDO_USER"] ? env["SUDO_USER"] : userInfo().username);

/** What an enrolment by root has written for somebody else's worker. */
function toHandOver(spec: ServiceSpec): { paths: string[]; owner: { uid: number; gid: number } } | null {
  if (process.getuid?.() !== 0 || spec.user === "root") return null;
  const id = (flag: "-u" | "-g") => Number(execFileSync("id", [flag, spec.user], { encoding: "utf8" }).trim());
  return { paths: [spec.home, join(spec.home, "identity.json")], owner: { uid: id("-u"), gid: id("-g") } };
}
