/** Guarantees of the host worker's service: a file that its reader understands, without secrets, put in place once and taken away whole. */
import { execFileSync, spawnSync } from "node:child_process";
import { access, chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { parse } from "plist";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { managers, serviceFile, type ServiceSpec } from "../../deploy/service/files.ts";
import { serviceHere } from "../../deploy/service/here.ts";
import { installService, uninstallService } from "../../deploy/service/install.ts";
import { readConfig } from "../../domain/config/schema.ts";
import { FaultError, unwrap } from "../../domain/errors.ts";

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "drover-service-"));
});
afterEach(() => rm(root, { recursive: true, force: true }));

const awkward = `a "b" & <c> %h $HOME \\d`;
const spec = (manager: ServiceSpec["manager"], more: Partial<ServiceSpec> = {}): ServiceSpec => ({
  manager,
  command: ["/opt/drover/node", "/opt/drover/cli/main.ts", "run", "host"],
  user: "ci",
  home: "/var/drover",
  environment: { DROVER_HOME: "/var/drover", PATH: "/usr/local/bin:/usr/bin" },
  ...more,
});

/** A service manager that writes down what it is told and remembers whether the service is loaded. */
async function managed(manager: ServiceSpec["manager"]) {
  const [bin, told, loaded] = [join(root, "bin"), join(root, "told"), join(root, "loaded")];
  const loads = manager === "launchd" ? "bootstrap" : "start|restart";
  const unloads = manager === "launchd" ? "bootout" : "disable";
  const program = `#!/bin/sh\necho "$*" >> ${told}\ncase "$1" in\n  ${loads}) touch ${loaded} ;;\n  ${unloads}) rm ${loaded} ;;\n  print) test -e ${loaded} ;;\nesac\n`;
  await mkdir(bin, { recursive: true });
  const place = join(bin, manager === "launchd" ? "launchctl" : "systemctl");
  await writeFile(place, program);
  await chmod(place, 0o755);
  return {
    system: { root, path: `${bin}:/usr/bin:/bin` },
    told: async () => {
      const lines = (await readFile(told, "utf8").catch(() => "")).trim().split("\n");
      await rm(told, { force: true });
      return lines.map((line) => line.split(" ")[0]);
    },
    isLoaded: () =>
      access(loaded).then(
        () => true,
        () => false,
      ),
  };
}

describe("the file of launchd", () => {
  it("is a property list that says whose worker runs, that it is kept alive, and not too often", () => {
    const { path, text } = serviceFile(spec("launchd", { environment: { DROVER_HOME: awkward } }));
    expect(path).toBe("/Library/LaunchDaemons/com.drover.host.plist");
    expect(parse(text)).toEqual({
      Label: "com.drover.host",
      ProgramArguments: ["/opt/drover/node", "/opt/drover/cli/main.ts", "run", "host"],
      UserName: "ci",
      WorkingDirectory: "/var/drover",
      EnvironmentVariables: { DROVER_HOME: awkward },
      RunAtLoad: true,
      KeepAlive: true,
      ThrottleInterval: 10,
      ExitTimeOut: 30,
      ProcessType: "Interactive",
      Umask: 63,
      SoftResourceLimits: { NumberOfFiles: 16384 },
      HardResourceLimits: { NumberOfFiles: 16384 },
      StandardOutPath: "/var/drover/host.log",
      StandardErrorPath: "/var/drover/host.log",
    });
  });
});

describe("the unit of systemd", () => {
  const words = (text: string) =>
    Map.groupBy(
      text.split("\n").filter((line) => line.includes("=")),
      (line) => line.slice(0, line.indexOf("=")),
    );

  it("says whose worker runs, that it is started again whatever happens, and when it begins", () => {
    const { path, text } = serviceFile(spec("systemd", { environment: { DROVER_HOME: awkward } }));
    expect(path).toBe("/etc/systemd/system/drover-host.service");
    const found = words(text);
    for (const [name, lines] of [
      ["User", ["User=ci"]],
      ["Restart", ["Restart=always"]],
      ["WantedBy", ["WantedBy=multi-user.target"]],
      ["ExecStart", [`ExecStart="/opt/drover/node" "/opt/drover/cli/main.ts" "run" "host"`]],
      ["Environment", [String.raw`Environment="DROVER_HOME=a \"b\" & <c> %%h $HOME \\d"`]],
    ] as const)
      expect(found.get(name)).toEqual(lines);
    for (const line of text.split("\n")) expect(line).toMatch(/^$|^\[(Unit|Service|Install)\]$|^[A-Z][A-Za-z]+=\S.*$/);
  });

  it.skipIf(!has("systemd-analyze"))("is understood by systemd itself, word for word", async () => {
    const program = join(root, "no de%");
    await writeFile(program, "#!/bin/sh\n");
    await chmod(program, 0o755);
    const { text } = serviceFile(spec("systemd", { user: "root", command: [program, awkward], home: root, environment: { A: awkward } }));
    const file = join(root, "drover-host.service");
    await writeFile(file, text);
    // It says nothing when it has nothing to say; what else is wrong with this computer's units is not ours.
    const { status, stderr, stdout } = spawnSync("systemd-analyze", ["verify", "--man=no", file], { encoding: "utf8" });
    expect(`${stdout}${stderr}`.split("\n").filter((line) => line.includes("drover"))).toEqual([]);
    expect(status).toBe(0);
  });
});

describe.each(managers)("the service of %s", (manager) => {
  it("is put in place once, and again only when it differs", async () => {
    const { system, told, isLoaded } = await managed(manager);
    const first = await installService(spec(manager), system);
    expect(first.changed).toBe(true);
    expect(await isLoaded()).toBe(true);
    expect(await readFile(join(root, first.path), "utf8")).toBe(serviceFile(spec(manager)).text);
    await told();
    expect((await installService(spec(manager), system)).changed).toBe(false);
    expect(await told()).not.toContain(manager === "launchd" ? "bootout" : "restart");
    expect((await installService(spec(manager, { user: "other" }), system)).changed).toBe(true);
    expect(await told()).toContain(manager === "launchd" ? "bootstrap" : "restart");
  });

  it("is taken away whole, and once more does no harm", async () => {
    const { system, isLoaded } = await managed(manager);
    const { path } = await installService(spec(manager), system);
    const { home } = spec(manager);
    await mkdir(join(root, home), { recursive: true });
    await writeFile(join(root, home, "host.log"), "lines");
    expect(await uninstallService({ manager, home }, system)).toEqual({ path, changed: true });
    expect(await isLoaded()).toBe(false);
    expect(await readdir(join(root, path, ".."))).toEqual([]);
    if (manager === "launchd") expect(await readdir(join(root, home))).toEqual([]);
    expect((await uninstallService({ manager, home }, system)).changed).toBe(false);
  });

  it("tells what its manager said when that refuses", async () => {
    const { system } = await managed(manager);
    await writeFile(join(root, "bin", manager === "launchd" ? "launchctl" : "systemctl"), "#!/bin/sh\necho no such domain >&2; exit 5\n");
    const refused = await installService(spec(manager), system).catch((error: unknown) => error);
    expect(refused instanceof FaultError && [refused.fault.code, refused.fault.message]).toEqual([
      "service_refused",
      expect.stringContaining("no such domain"),
    ]);
  });
});

describe("this computer's service", () => {
  const here = (env: Record<string, string>) => serviceHere({ config: unwrap(readConfig(env, root)), env });

  it("runs what runs now, with what was set, and holds no secret", async () => {
    const secrets = { DROVER_MASTER_KEY: "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I=", DATABASE_URL: "postgres://me:pa55@db/drover" };
    const { text } = await here({ DROVER_HOME: "kept", CATALOG_CACHE_FOLDER: "/fast/cache", ...secrets }).file(undefined);
    expect(text).toContain(process.execPath);
    expect(text).toContain(userInfo().username);
    expect(text).toContain(join(root, "kept"));
    expect(text).toContain("/fast/cache");
    for (const secret of [...Object.values(secrets), "pa55"]) expect(text).not.toContain(secret);
  });

  it("is not put in place where nobody enrolled the computer", async () => {
    const refused = await here({ DROVER_HOME: "kept" })
      .install(undefined)
      .catch((error: unknown) => error);
    expect(refused instanceof FaultError && refused.fault.code).toBe("host_unenrolled");
  });
});

function has(program: string): boolean {
  try {
    execFileSync("sh", ["-c", `command -v ${program}`], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}
