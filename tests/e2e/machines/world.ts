/**
 * The one stack that all tests of machines share, and what they see of it: the hub by its API, the host by its own `prlctl`.
 */
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { pathOf } from "../../../cli/client.ts";
import { Machine, Operation, OperationDetail, Output, Provisioning } from "../../../cli/wire.ts";
import type { Machine as MachineShape, MachineAction } from "../../../domain/machines/schema.ts";
import { makeBundle } from "../../../parallels/bundle/make.ts";
import { openPrlctl, type Prlctl } from "../../../parallels/prlctl.ts";
import { makeSampleBundle, makeSampleMacvm } from "../../../parallels/sample/make.ts";
import { openRegistry } from "../../../parallels/simulator/registry.ts";
import { machineFolderOf, simulatorOf } from "../faults.ts";
import { openStack, ownServers, type TestStack } from "../stack.ts";

export const mebibyte = 1024 ** 2;
export const host = "mac-1";
export const small = { vcpus: 1, memoryBytes: 512 * mebibyte };

export let stack: TestStack;
export let prlctl: Prlctl;
export let simulator = "";
/** Most tests take this one along: of an image, running when they are done. */
export let work: MachineShape;
export const setWork = (machine: MachineShape): void => void (work = machine);

export async function openWorld(): Promise<void> {
  stack = await openStack({ ...(await ownServers()), DROVER_HOSTS: "1" });
  simulator = simulatorOf(stack, host);
  prlctl = openPrlctl({ prlctlPath: join(simulator, "bin", "prlctl"), prlsrvctlPath: join(simulator, "bin", "prlsrvctl") });
  const folder = join(stack.home, "own");
  const sizes = { bytes: 32 * mebibyte, contentBytes: 8 * mebibyte };
  const { bundlePath } = await makeSampleBundle({ folder, name: "Base", ...sizes, path: "", content: "pattern" });
  const mac = await makeSampleMacvm({ folder, name: "Mac", ...sizes });
  await stack.json("push", bundlePath, "base", "--version", "1");
  await stack.json("push", mac.bundlePath, "mac", "--version", "1");
}
export const closeWorld = async (): Promise<void> => stack?.close();

interface Wanted {
  readonly name: string;
  readonly image?: string;
  readonly start?: boolean;
  readonly hostId?: string;
  readonly ttlSeconds?: number;
  readonly waitSeconds?: number;
}
export async function provision({ image = "base", ...wanted }: Wanted): Promise<{ operation: OperationDetail; machine: MachineShape }> {
  const body = { ...small, image: { catalogId: image, version: "1" }, ...wanted };
  const { operation, machine } = await stack.client.send("POST", "/machines", Provisioning, { body });
  return { operation: await done(operation.id), machine };
}

export const request = (machine: string, action: MachineAction) =>
  stack.client.send("POST", `${pathOf("machines", machine)}/actions`, Operation, { body: action });
export const act = async (machine: string, action: MachineAction) => done((await request(machine, action)).id);

/** `done`, or the code that the action was refused or ended with. */
export async function attempt(machine: string, action: MachineAction): Promise<string> {
  try {
    const { state, fault } = await act(machine, action);
    return fault?.code ?? state;
  } catch (error) {
    return (error as { fault: { code: string } }).fault.code;
  }
}

export const show = (name: string) => stack.client.get(pathOf("machines", name), Machine);
export const machines = (name: string) => stack.client.list("/machines", Machine, { name });
export const seen = (id: string) => prlctl.find(id);
export const withAddress = (machine: MachineShape) => (machine.addresses.length > 0 ? machine : null);
export const bootedAt = (id: string) => openRegistry(simulator).find(id)?.guest?.sinceMs ?? 0;
export const retire = async (name: string) => done((await stack.client.send("DELETE", pathOf("machines", name), Operation)).id);
/** The hub tells when it has ended, so nobody has to look all the time. */
export const done = (id: string) => stack.client.get(pathOf("operations", id, "wait"), OperationDetail, { query: { timeout: 60 } });

export async function until<T>(what: string, look: () => Promise<T | null | false | undefined>, withinMs = 60_000): Promise<T> {
  for (const end = Date.now() + withinMs; ; await delay(100)) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`not within ${withinMs} ms: ${what}`);
  }
}

/** One that was gathered from now on: the host reports after each action, and a machine's row tells when it was seen. */
export async function anotherReport(): Promise<void> {
  await act("work", { verb: "snapshot-list" });
  const { observedAt } = await show("work");
  await until("another report came", async () => (await show("work")).observedAt?.getTime() !== observedAt?.getTime());
}

/** A machine that somebody else made on the host. */
export async function foreignMachine(name: string): Promise<{ id: string; bundlePath: string }> {
  const facts = { kind: "pvm", osType: 9, osNumber: 2314, cpus: 1, memoryMegabytes: 256, diskBytes: 4 * mebibyte } as const;
  const { bundlePath, id } = await makeBundle({ folder: machineFolderOf(stack, host), name, ...facts });
  await prlctl.register(bundlePath, { uuid: id });
  return { id, bundlePath };
}

export async function outputOf(id: string): Promise<{ stdout: string; stderr: string; cut: boolean }> {
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

export async function wire(path: string): Promise<unknown> {
  const { url, session } = stack.client;
  const answer = await fetch(`${url}/api/v1${path}`, { headers: await session.headers() });
  if (!answer.ok) throw new Error(`${path} answered ${answer.status}: ${await answer.text()}`);
  return answer.json();
}
