/**
 * Everything that is done to machines, on one whole stack: by the `drover` command and the REST API, seen on the host as well as in the hub.
 *
 * The one idea: a verb has worked when the host's own `prlctl` says so, and the machine's row tells the same.
 */
import { execFile } from "node:child_process";
import { cp, readdir, readFile, rename, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Client, Connection } from "@temporalio/client";
import postgres from "postgres";
import { pathOf } from "../../cli/client.ts";
import { Machine, Operation, OperationDetail, Output, Provisioning } from "../../cli/wire.ts";
import type { Machine as MachineShape, MachineAction } from "../../domain/machines/schema.ts";
import { makeBundle } from "../../parallels/bundle/make.ts";
import { openPrlctl, type Prlctl } from "../../parallels/prlctl.ts";
import { makeSampleBundle, makeSampleMacvm } from "../../parallels/sample/make.ts";
import { controlSimulator } from "../../parallels/simulator/control.ts";
import { openRegistry } from "../../parallels/simulator/registry.ts";
import { decide, machineFolderOf, refusalOf, settled, simulatorOf } from "./faults.ts";
import { openStack, type TestStack } from "./stack.ts";

const mebibyte = 1024 ** 2;
const host = "mac-1";
const small = { vcpus: 1, memoryBytes: 512 * mebibyte };

let stack: TestStack;
let prlctl: Prlctl;
let simulator = "";
/** Most tests take this one along: of an image, running. */
let work: MachineShape;

beforeAll(async () => {
  stack = await openStack({ DROVER_HOSTS: "1" });
  simulator = simulatorOf(stack, host);
  prlctl = openPrlctl({ prlctlPath: join(simulator, "bin", "prlctl"), prlsrvctlPath: join(simulator, "bin", "prlsrvctl") });
  const folder = join(stack.home, "own");
  const sizes = { bytes: 32 * mebibyte, contentBytes: 8 * mebibyte };
  const { bundlePath } = await makeSampleBundle({ folder, name: "Base", ...sizes, path: "", content: "pattern" });
  const mac = await makeSampleMacvm({ folder, name: "Mac", ...sizes });
  await stack.json("push", bundlePath, "base", "--version", "1");
  await stack.json("push", mac.bundlePath, "mac", "--version", "1");
}, 120_000);
afterAll(() => stack?.close(), 60_000);

describe("making machines", () => {
  it("fetches the image first where it is not cached, and gives the machine what was asked for", async () => {
    const words = ["--cpus", "1", "--memory", "512M", "--description", "for 'tests' & more", "--label", "team=ci", "--ttl", "1h"];
    const made = await stack.json<{ operation: { result: { fetchedBytes: number } } }>(
      "machine",
      "create",
      "work",
      "--image",
      "base:1",
      ...words,
    );
    expect(made.operation.result.fetchedBytes).toBeGreaterThan(mebibyte);
    work = await show("work");
    expect(work).toMatchObject({
      observed: "running",
      desired: "running",
      ...small,
      labels: { team: "ci" },
      addresses: [expect.stringMatching(/^10\./)],
    });
    expect((work.expiresAt?.getTime() ?? 0) - Date.now()).toBeGreaterThan(3_000_000);
    expect(await seen(work.id)).toMatchObject({
      name: "work",
      state: "running",
      cpus: 1,
      memoryBytes: small.memoryBytes,
      description: "for 'tests' & more",
    });
  }, 60_000);

  it("leaves a machine stopped when told so, takes the cached image, and shares neither id, MAC nor address with its sibling", async () => {
    const { operation } = await provision({ name: "still", start: false });
    expect(operation.result).toMatchObject({ fetchedBytes: 0, addresses: [] });
    const still = await show("still");
    expect(still).toMatchObject({ observed: "stopped", desired: "stopped", hostId: work.hostId, addresses: [] });
    expect(still.macAddress).toMatch(/^001C42[0-9A-F]{6}$/);
    await act("still", { verb: "start" });
    const { addresses } = await until("still has an address", async () => withAddress(await show("still")));
    expect([still.id, still.macAddress, addresses[0]]).not.toEqual([work.id, work.macAddress, work.addresses[0]]);
    for (const [one, other] of [
      [still.id, work.id],
      [still.macAddress, work.macAddress],
      [addresses[0], work.addresses[0]],
    ])
      expect(one).not.toBe(other);
    await act("still", { verb: "stop", mode: "kill", graceSeconds: 0 });
  }, 60_000);

  it("lists machines by name, host, state and image", async () => {
    const names = async (...filter: string[]) =>
      (await stack.json<{ name: string }[]>("machine", "list", ...filter)).map(({ name }) => name).toSorted();
    expect(await names("--state", "running")).toEqual(["work"]);
    expect(await names("--name", "STILL")).toEqual(["still"]);
    expect(await names("--host", host, "--image", "base/1")).toEqual(["still", "work"]);
    expect(await names("--image", "mac/1")).toEqual([]);
  }, 30_000);

  it("changes labels and description without an operation, and refuses what is neither", async () => {
    const changed = await stack.client.send("PATCH", pathOf("machines", "still"), Machine, {
      body: { labels: { team: "qa" }, description: "another" },
    });
    expect(changed).toMatchObject({ labels: { team: "qa" }, description: "another" });
    expect(await show("still")).toMatchObject({ labels: { team: "qa" }, description: "another" });
    await expect(stack.client.send("PATCH", pathOf("machines", "still"), Machine, { body: { labels: "none" } })).rejects.toMatchObject({
      fault: { code: "invalid_request" },
    });
  });
});

describe("states", () => {
  it("suspends, resumes, pauses and goes on, as the host sees it", async () => {
    for (const [verb, state] of [
      ["suspend", "suspended"],
      ["resume", "running"],
      ["pause", "paused"],
      ["resume", "running"],
    ] as const) {
      expect((await stack.json<OperationDetail>("machine", verb, "work")).state).toBe("done");
      expect([(await seen(work.id))?.state, (await show("work")).observed]).toEqual([state, state]);
    }
  }, 60_000);

  it("answers a state that is reached already with success", async () => {
    expect((await act("work", { verb: "start" })).state).toBe("done");
    expect((await act("work", { verb: "resume" })).state).toBe("done");
    expect((await act("still", { verb: "stop", mode: "graceful", graceSeconds: 5 })).state).toBe("done");
  }, 30_000);

  it("restarts and resets a guest for real", async () => {
    for (const verb of ["restart", "reset"] as const) {
      const before = bootedAt(work.id);
      expect((await stack.json<OperationDetail>("machine", verb, "work")).state).toBe("done");
      expect(bootedAt(work.id)).toBeGreaterThan(before);
      expect((await seen(work.id))?.state).toBe("running");
    }
  }, 60_000);

  it("stops a guest that listens by asking, and one that is paused as well", async () => {
    await stack.json("machine", "stop", "work", "--grace", "30s");
    expect((await seen(work.id))?.state).toBe("stopped");
    await act("work", { verb: "start" });
    await act("work", { verb: "pause" });
    expect((await act("work", { verb: "stop", mode: "graceful", graceSeconds: 30 })).state).toBe("done");
    expect(await show("work")).toMatchObject({ observed: "stopped", desired: "stopped", addresses: [] });
  }, 60_000);

  it("kills a guest that does not listen once its grace is over, and not before", async () => {
    controlSimulator(simulator, { ignoresStop: ["work"] });
    await act("work", { verb: "start" });
    const begun = performance.now();
    const { state } = await act("work", { verb: "stop", mode: "graceful", graceSeconds: 2 });
    expect([state, (await seen(work.id))?.state]).toEqual(["done", "stopped"]);
    expect(performance.now() - begun).toBeGreaterThan(2_000);
    await act("work", { verb: "start" });
    await stack.json("machine", "stop", "work", "--force");
    expect((await seen(work.id))?.state).toBe("stopped");
    controlSimulator(simulator, { ignoresStop: false });
  }, 60_000);

  it("keeps the memory of a suspended machine unless told to drop it", async () => {
    await act("work", { verb: "start" });
    await act("work", { verb: "suspend" });
    const refused = await act("work", { verb: "stop", mode: "graceful", graceSeconds: 5 });
    expect(refused).toMatchObject({ state: "failed", fault: { code: "machine_state" } });
    expect((await seen(work.id))?.state).toBe("suspended");
    await stack.json("machine", "stop", "work", "--drop-state");
    expect((await seen(work.id))?.state).toBe("stopped");
  }, 60_000);

  it("refuses early what the state forbids, and names it", async () => {
    const refused = await refusalOf(stack, "machine", "suspend", "still");
    expect(refused).toMatchObject({ code: "machine_state", message: expect.stringMatching(/still .*stopped/) });
  }, 30_000);

  it("refuses on the host what the hub could not know, and takes nothing away from the machine", async () => {
    await act("still", { verb: "start" });
    await prlctl.suspend((await show("still")).id);
    const outcome = await attempt("still", { verb: "start" });
    expect(outcome).toBe("machine_state");
    expect((await seen((await show("still")).id))?.state).toBe("suspended");
    await act("still", { verb: "stop", mode: "drop-state", graceSeconds: 0 });
  }, 30_000);
});

describe("changes", () => {
  it("configures size, description and an option of Parallels Desktop", async () => {
    await stack.json(
      "machine",
      "configure",
      "still",
      "--cpus",
      "2",
      "--memory",
      "1G",
      "--description",
      "line one\nline two",
      "--set",
      "startup-view=headless",
    );
    const { id } = await show("still");
    const vm = await seen(id);
    expect(vm).toMatchObject({ cpus: 2, memoryBytes: 1024 * mebibyte, description: "line one\nline two" });
    expect(vm?.raw["Startup and Shutdown"]).toMatchObject({ "Startup view": "headless" });
    expect(await show("still")).toMatchObject({ vcpus: 2, memoryBytes: 1024 * mebibyte, description: "line one\nline two" });
  }, 30_000);

  it("renames a stopped machine, whose old name is free for another, and refuses a running one", async () => {
    await stack.json("machine", "rename", "still", "quiet");
    const { id, bundlePath } = await show("quiet");
    expect(await seen(id)).toMatchObject({ name: "quiet", bundlePath });
    expect((await provision({ name: "still", start: false })).operation.state).toBe("done");
    await act("work", { verb: "start" });
    expect(await refusalOf(stack, "machine", "rename", "work", "other")).toMatchObject({
      code: "machine_state",
      message: expect.stringContaining("running"),
    });
    expect(await refusalOf(stack, "machine", "rename", "still", "QUIET")).toMatchObject({ code: "machine_exists" });
  }, 60_000);

  it("clones in full: a machine of its own, with the same disk and another MAC, while the source keeps its own", async () => {
    await act("work", { verb: "stop", mode: "kill", graceSeconds: 0 });
    const source = await seen(work.id);
    await stack.json("machine", "clone", "work", "copy");
    const copy = await show("copy");
    expect(copy).toMatchObject({ origin: "clone", observed: "stopped", ...small });
    expect(copy.macAddress).not.toBe(work.macAddress);
    expect(await seen(work.id)).toMatchObject({ macAddress: source?.macAddress });
    expect(await prlctl.snapshotList(work.id)).toEqual([]);
    await act("copy", { verb: "start" });
    expect((await seen(copy.id))?.state).toBe("running");
    await retire("copy");
  }, 60_000);

  it("clones linked, once for each request, and leaves nothing of a clone that was retired", async () => {
    await stack.json("machine", "clone", "still", "linked", "--linked");
    const linked = await show("linked");
    const disk = (await readdir(linked.bundlePath ?? "")).find((name) => name.endsWith(".hdd")) ?? "";
    expect(await readFile(join(linked.bundlePath ?? "", disk, "DiskDescriptor.xml"), "utf8")).toContain((await show("still")).bundlePath);
    expect((await prlctl.list()).filter(({ name }) => name === "linked").map(({ id }) => id)).toEqual([linked.id]);
    await act("linked", { verb: "start" });
    expect((await seen(linked.id))?.state).toBe("running");
    await retire("linked");
    expect(await stat(linked.bundlePath ?? "").catch(() => null)).toBeNull();
  }, 60_000);

  it("refuses a clone under a name that is taken, on the hub or only on the host, and takes no machine away from its owner", async () => {
    expect(await refusalOf(stack, "machine", "clone", "still", "WORK")).toMatchObject({ code: "machine_exists" });
    const foreign = await foreignMachine("Theirs");
    for (const linked of [false, true]) expect(await attempt("still", { verb: "clone", name: "Theirs", linked })).toBe("machine_exists");
    expect(await seen(foreign.id)).toMatchObject({ name: "Theirs", bundlePath: foreign.bundlePath });
    expect(await machines("Theirs")).toEqual([]);
    await prlctl.remove(foreign.id);
  }, 60_000);

  it("makes one of two clones that are asked of one source at once, and tells the other who holds it", async () => {
    const answers = await Promise.all(["twin-1", "twin-2"].map((name) => attempt("still", { verb: "clone", name, linked: false })));
    expect(answers.toSorted()).toEqual(["done", "machine_busy"]);
    for (const name of ["twin-1", "twin-2"]) if ((await machines(name)).length > 0) await retire(name);
  }, 60_000);
});

describe("snapshots", () => {
  it("are made, listed as a tree, gone back to and deleted", async () => {
    const created = await stack.json<OperationDetail>("machine", "snapshot", "create", "still", "clean", "--description", "first");
    const clean = String(created.result?.["snapshotId"]);
    await stack.json("machine", "snapshot", "create", "still", "later");
    const listed = await stack.json<{ id: string; name: string; parentId: string | null; current: boolean }[]>(
      "machine",
      "snapshot",
      "list",
      "still",
    );
    const names = new Map(listed.map(({ name, id, parentId, current }) => [name, { id, parentId, current }]));
    expect(names.get("clean")).toMatchObject({ id: clean, current: false });
    expect(names.get("later")).toMatchObject({ parentId: clean, current: true });
    await stack.json("machine", "snapshot", "revert", "still", "clean");
    const { id } = await show("still");
    expect((await prlctl.snapshotList(id)).find(({ current }) => current)?.id).toBe(clean);
    await stack.json("machine", "snapshot", "delete", "still", clean, "--children");
    expect((await prlctl.snapshotList(id)).filter(({ name }) => name === "clean" || name === "later")).toEqual([]);
    expect((await act("still", { verb: "snapshot-delete", snapshotId: clean, children: false })).state).toBe("done");
    expect(await attempt("still", { verb: "snapshot-revert", snapshotId: clean, resume: true })).toBe("snapshot_not_found");
  }, 90_000);

  it("of a running machine go on running, or stay suspended when told so", async () => {
    await act("work", { verb: "start" });
    const { result } = await act("work", { verb: "snapshot-create", name: "live", description: "" });
    const snapshotId = String(result?.["snapshotId"]);
    await act("work", { verb: "stop", mode: "kill", graceSeconds: 0 });
    await act("work", { verb: "snapshot-revert", snapshotId, resume: false });
    expect(await show("work")).toMatchObject({ observed: "suspended", desired: "suspended" });
    await act("work", { verb: "snapshot-revert", snapshotId, resume: true });
    expect(await show("work")).toMatchObject({ observed: "running", desired: "running" });
    await act("work", { verb: "snapshot-delete", snapshotId, children: false });
  }, 60_000);
});

describe("commands in the guest", () => {
  const execute = (script: string, options: Partial<Extract<MachineAction, { verb: "execute" }>> = {}) =>
    act("work", { verb: "execute", script, environment: {}, timeoutSeconds: 60, ...options });

  beforeAll(async () => {
    await act("work", { verb: "start" });
    await until("the guest takes sessions", async () => (await seen(work.id))?.tools.state === "installed");
  }, 30_000);

  it("end with their own exit code and print where they print, in order and to the end", async () => {
    const ran = await stack.drover(
      "machine",
      "exec",
      "work",
      "--",
      "i=0; while [ $i -lt 500 ]; do echo out $i; echo err $i >&2; i=$((i+1)); done; exit 7",
    );
    const lines = (word: string) => Array.from({ length: 500 }, (_, i) => `${word} ${i}\n`).join("");
    expect(ran).toEqual({ code: 7, stdout: lines("out"), stderr: lines("err") });
    const { result } = await execute("exit 255");
    expect(result).toMatchObject({ exitCode: 255, outputCut: false });
  }, 60_000);

  it("get their variables as they are: quotes, line breaks, Unicode", async () => {
    const value = `it's "quoted" $HOME \`id\`\nsecond line\t\\n Grüße 🐙`;
    const { id } = await execute(`printf %s "$VALUE"`, { environment: { VALUE: value } });
    expect(await outputOf(id)).toEqual({ stdout: value, stderr: "", cut: false });
  }, 30_000);

  it("may be scripts of 200 KB, and run as a user", async () => {
    const script = `${Array.from({ length: 4000 }, (_, i) => `# line ${i} ${"x".repeat(40)}`).join("\n")}\necho the end\n`;
    const { id, state } = await execute(script, { user: "builder" });
    expect(script.length).toBeGreaterThan(200_000);
    expect([state, (await outputOf(id)).stdout]).toEqual(["done", "the end\n"]);
  }, 30_000);

  it("lose what is beyond 10 MiB of output, and say so; exactly what was printed before is kept", async () => {
    const { id, result } = await execute("yes 0123456789abcde | head -c 12582912");
    expect(result).toMatchObject({ exitCode: 0, outputCut: true });
    const { stdout, cut } = await outputOf(id);
    expect([stdout.length, cut]).toEqual([10 * mebibyte, true]);
    expect(stdout).toBe("0123456789abcde\n".repeat((10 * mebibyte) / 16));
  }, 60_000);

  it("are given up after their time limit, which does not count the wait for a session", async () => {
    const outcome = await execute("sleep 30", { timeoutSeconds: 1 });
    expect(outcome).toMatchObject({ state: "failed", fault: { code: "outcome_unknown", message: expect.stringContaining("1 s") } });
    const three = await Promise.all([1, 2, 3].map(() => execute("sleep 1.2; echo done", { timeoutSeconds: 2 })));
    expect(three.map(({ state }) => state)).toEqual(["done", "done", "done"]);
  }, 60_000);

  it("show their script and variables neither in the process list, nor in the database, nor in Temporal's history", async () => {
    const secret = `tr0ub4dor-${Math.random().toString(36).slice(2)}`;
    const { id, workflowId } = await request("work", {
      verb: "execute",
      script: `test ${secret}; sleep 1`,
      environment: { TOKEN: secret },
      timeoutSeconds: 30,
    });
    await until("the script runs", async () => (await processes()).includes("exec"));
    expect(await processes()).not.toContain(secret);
    expect((await settled(stack, id)).result).toMatchObject({ exitCode: 0 });
    expect(await rowOf(id)).not.toContain(secret);
    const history = await historyOf(workflowId);
    expect(history).toContain("actOnMachine");
    expect(history).not.toContain(secret);
    expect(history).not.toContain("exitCode");
  }, 30_000);

  it("park while the guest takes no session, and run when an operator says retry", async () => {
    controlSimulator(simulator, { toolsNeverUp: ["work"] });
    const { id } = await request("work", { verb: "execute", script: "echo once", environment: {}, timeoutSeconds: 30 });
    await until("the operation parks", async () => (await stack.client.get(pathOf("operations", id), Operation)).state === "parked");
    controlSimulator(simulator, { toolsNeverUp: false });
    await decide(stack, (await stack.client.get(pathOf("operations", id), Operation)).workflowId, "retry");
    expect((await settled(stack, id)).state).toBe("done");
    expect((await outputOf(id)).stdout).toBe("once\n");
  }, 30_000);
});

describe("what else is seen of machines", () => {
  it("captures the screen as a PNG", async () => {
    const file = join(stack.home, "screen.png");
    await stack.json("machine", "capture", "work", file);
    const png = await readFile(file);
    expect(png.subarray(0, 8)).toEqual(Buffer.from("89504e470d0a1a0a", "hex"));
    expect(png.subarray(-8, -4).toString()).toBe("IEND");
  }, 30_000);

  it("shows a foreign machine in the contract's list, and never touches it", async () => {
    const foreign = await foreignMachine("Private");
    const list = async () => (await wire("/machines")) as { ID: string; Name: string }[];
    await until("the foreign machine is listed", async () => (await list()).some(({ ID }) => ID === foreign.id));
    expect(await machines("Private")).toEqual([]);
    const before = await readFile(join(foreign.bundlePath, "config.pvs"), "utf8");
    await anotherReport();
    expect(await readFile(join(foreign.bundlePath, "config.pvs"), "utf8")).toBe(before);
    expect(await seen(foreign.id)).toMatchObject({ state: "stopped" });
    await prlctl.remove(foreign.id);
  }, 30_000);
});

describe("the end of machines", () => {
  it("comes by itself when their time is over", async () => {
    const { machine } = await provision({ name: "brief", start: false, ttlSeconds: 3600 });
    await stack.json("machine", "expire", "brief", "1s");
    await until("the machine is retired", async () => (await machines("brief")).length === 0, 15_000);
    expect(await seen(machine.id)).toBeNull();
  }, 30_000);

  it("can still be recorded for a machine that was deleted on its host, which the hub learns within 15 s", async () => {
    const { machine } = await provision({ name: "lost", start: true });
    await prlctl.stop(machine.id, { mode: "kill" });
    await prlctl.remove(machine.id);
    await until("the machine is absent", async () => (await show("lost")).observed === "absent", 15_000);
    expect(await attempt("lost", { verb: "start" })).toBe("machine_lost");
    await retire("lost");
    expect(await machines("lost")).toEqual([]);
  }, 45_000);

  it("is final: what comes back of a retired machine is removed by the host's next reports", async () => {
    const { machine } = await provision({ name: "ghost", start: false });
    const { bundlePath } = await show("ghost");
    const kept = join(stack.home, "kept.pvm");
    await cp(bundlePath ?? "", kept, { recursive: true });
    await retire("ghost");
    await rename(kept, bundlePath ?? "");
    await prlctl.register(bundlePath ?? "", { uuid: machine.id });
    await until("the machine is removed again", async () => (await seen(machine.id)) === null, 15_000);
    await until("its bundle is gone", async () => (await stat(bundlePath ?? "").catch(() => null)) === null);
  }, 45_000);
});

describe("macOS machines", () => {
  it("are pulled and provisioned up to Apple's limit; the third is refused by name of what is missing", async () => {
    const { id } = await stack.json<{ id: string }>("host", "show", host);
    expect((await stack.json<OperationDetail>("pull", "mac:1", "--host", host)).state).toBe("done");
    const made = await Promise.all(["mac-a", "mac-b"].map((name) => provision({ name, image: "mac", hostId: id })));
    expect(made.map(({ operation }) => operation.state)).toEqual(["done", "done"]);
    const [one, other] = await Promise.all(["mac-a", "mac-b"].map(show));
    expect(one).toMatchObject({ kind: "macvm", observed: "running", addresses: [expect.stringMatching(/^10\./)] });
    expect(one?.addresses).not.toEqual(other?.addresses);
    const third = await provision({ name: "mac-c", image: "mac", hostId: id });
    expect(third.operation).toMatchObject({
      state: "failed",
      fault: { code: "no_capacity", message: expect.stringContaining("two macOS machines") },
    });
    expect(await machines("mac-c")).toEqual([]);
  }, 60_000);

  it("keep the address that the hub learned from their guest", async () => {
    const { addresses } = await show("mac-a");
    await anotherReport();
    expect((await show("mac-a")).addresses).toEqual(addresses);
    await act("mac-a", { verb: "restart" });
    await until("the address is known again", async () => (await show("mac-a")).addresses.length > 0);
    for (const name of ["mac-a", "mac-b"]) await retire(name, true);
  }, 60_000);
});

interface Wanted {
  readonly name: string;
  readonly image?: string;
  readonly start?: boolean;
  readonly hostId?: string;
  readonly ttlSeconds?: number;
}
async function provision({ image = "base", ...wanted }: Wanted): Promise<{ operation: OperationDetail; machine: MachineShape }> {
  const body = { ...small, image: { catalogId: image, version: "1" }, ...wanted };
  const { operation, machine } = await stack.client.send("POST", "/machines", Provisioning, { body });
  return { operation: await settled(stack, operation.id), machine };
}

const request = (machine: string, action: MachineAction) =>
  stack.client.send("POST", `${pathOf("machines", machine)}/actions`, Operation, { body: action });
const act = async (machine: string, action: MachineAction) => settled(stack, (await request(machine, action)).id);

/** `done`, or the code that the action was refused or ended with. */
async function attempt(machine: string, action: MachineAction): Promise<string> {
  try {
    const { state, fault } = await act(machine, action);
    return fault?.code ?? state;
  } catch (error) {
    return (error as { fault: { code: string } }).fault.code;
  }
}

const show = (name: string) => stack.client.get(pathOf("machines", name), Machine);
const machines = (name: string) => stack.client.list("/machines", Machine, { name });
const seen = (id: string) => prlctl.find(id);
const withAddress = (machine: MachineShape) => (machine.addresses.length > 0 ? machine : null);
const bootedAt = (id: string) => openRegistry(simulator).find(id)?.guest?.sinceMs ?? 0;
const retire = (name: string, force = false) => stack.json("machine", "delete", name, ...(force ? ["--force"] : []));

async function until<T>(what: string, look: () => Promise<T | null | false | undefined>, withinMs = 10_000): Promise<T> {
  for (const end = Date.now() + withinMs; ; await delay(100)) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`not within ${withinMs} ms: ${what}`);
  }
}

/** One that was gathered from now on: the host reports after each action, and a machine's row tells when it was seen. */
async function anotherReport(): Promise<void> {
  await act("work", { verb: "snapshot-list" });
  const { observedAt } = await show("work");
  await until("another report came", async () => (await show("work")).observedAt?.getTime() !== observedAt?.getTime());
}

/** A machine that somebody else made on the host. */
async function foreignMachine(name: string): Promise<{ id: string; bundlePath: string }> {
  const facts = { kind: "pvm", osType: 9, osNumber: 2314, cpus: 1, memoryMegabytes: 256, diskBytes: 4 * mebibyte } as const;
  const { bundlePath, id } = await makeBundle({ folder: machineFolderOf(stack, host), name, ...facts });
  await prlctl.register(bundlePath, { uuid: id });
  return { id, bundlePath };
}

async function outputOf(id: string): Promise<{ stdout: string; stderr: string; cut: boolean }> {
  const texts = { stdout: "", stderr: "" };
  let cut = false;
  for (let after = 0; ;) {
    const found = await stack.client.get(`${pathOf("operations", id)}/output`, Output, { query: { after, limit: 1000 } });
    for (const { stream, text } of found.items) texts[stream] += text;
    cut ||= found.cut;
    const last = found.items.at(-1);
    if (!last) return { ...texts, cut };
    after = last.line;
  }
}

async function processes(): Promise<string> {
  const { stdout } = await promisify(execFile)("ps", ["-eo", "args", "-ww"], { maxBuffer: 16 * mebibyte });
  return stdout;
}

async function rowOf(operationId: string): Promise<string> {
  const sql = postgres(stack.stack.env["DATABASE_URL"] ?? "", { max: 1 });
  try {
    const rows =
      await sql`select o::text as row, (select string_agg(e::text, ' ') from events e) as events from operations o where id = ${operationId}`;
    return JSON.stringify(rows);
  } finally {
    await sql.end();
  }
}

/** The history as it lies at Temporal, payloads as they are stored. */
async function historyOf(workflowId: string): Promise<string> {
  const { TEMPORAL_ADDRESS: address = "", TEMPORAL_NAMESPACE: namespace = "" } = stack.stack.env;
  const connection = await Connection.connect({ address });
  try {
    const history = await new Client({ connection, namespace }).workflow.getHandle(workflowId).fetchHistory();
    return JSON.stringify(history, (_, value: unknown) => (value instanceof Uint8Array ? Buffer.from(value).toString("latin1") : value));
  } finally {
    await connection.close();
  }
}

async function wire(path: string): Promise<unknown> {
  const { url, session } = stack.client;
  const answer = await fetch(`${url}/api/v1${path}`, { headers: await session.headers() });
  if (!answer.ok) throw new Error(`${path} answered ${answer.status}: ${await answer.text()}`);
  return answer.json();
}
