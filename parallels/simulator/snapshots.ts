/**
 * Snapshots: the tree in `Snapshots.xml`, the verbs around it, and what they do to the machine.
 */
import { randomUUID } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { timeText } from "../bundle/config.ts";
import { parseArguments } from "./arguments.ts";
import { machineNamed, say, type Command } from "./command.ts";
import { addSnapshot, dropSnapshot, revertTo } from "./disks.ts";
import { failure } from "./failure.ts";
import { stateOf, type Machine } from "./machine.ts";
import { parallelsJson } from "./machine-json.ts";
import { settingsIfThere } from "./settings.ts";

interface Snapshot {
  readonly id: string;
  readonly parent: string | null;
  readonly name: string;
  readonly description: string;
  readonly date: string;
  readonly state: "poweron" | "poweroff";
  readonly current: boolean;
}

const filePath = (machine: Pick<Machine, "bundlePath">) => join(machine.bundlePath, "Snapshots.xml");
const escaped = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
const unescaped = (text: string) => text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");

/** The file nests each snapshot in its parent; the outermost item, without a guid, is the machine itself. */
function readTree(machine: Pick<Machine, "bundlePath">): Snapshot[] {
  let xml: string;
  try {
    xml = readFileSync(filePath(machine), "utf8");
  } catch {
    return [];
  }
  const parents: string[] = [];
  const tree: Snapshot[] = [];
  for (const [tag, attributes] of xml.matchAll(/<SavedStateItem([^>]*)>|<\/SavedStateItem>/g)) {
    if (tag.startsWith("</")) {
      parents.pop();
      continue;
    }
    const attribute = (name: string) => new RegExp(`${name}="([^"]*)"`).exec(attributes ?? "")?.[1] ?? "";
    const id = attribute("guid").replace(/[{}]/g, "");
    if (id !== "")
      tree.push({
        id,
        parent: parents.at(-1) || null,
        ...detailsOf(xml, id),
        state: attribute("state") === "poweron" ? "poweron" : "poweroff",
        current: attribute("current") === "yes",
      });
    parents.push(id);
  }
  return tree;
}

function detailsOf(xml: string, id: string) {
  const from = xml.indexOf(`guid="{${id}}"`);
  const text = (name: string) => unescaped(new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml.slice(from))?.[1] ?? "");
  return { name: text("Name"), date: text("DateTime"), description: text("Description") };
}

function writeTree(machine: Pick<Machine, "bundlePath">, tree: readonly Snapshot[]): void {
  if (tree.length === 0) return rmSync(filePath(machine), { force: true });
  const item = (snapshot: Snapshot): string => {
    const { id, state, current, name, date, description } = snapshot;
    const details = `<Name>${escaped(name)}</Name><DateTime>${date}</DateTime><Description>${escaped(description)}</Description>`;
    return `<SavedStateItem guid="{${id}}"${current ? ' current="yes"' : ""} state="${state}">${details}${below(id)}</SavedStateItem>\n`;
  };
  const below = (parent: string | null) =>
    tree
      .filter((snapshot) => snapshot.parent === parent)
      .map(item)
      .join("");
  const aside = `${filePath(machine)}.${process.pid}`;
  const body = `<SavedStateItem guid="">\n${below(null)}</SavedStateItem>`;
  writeFileSync(aside, `<?xml version="1.0" encoding="UTF-8"?>\n<ParallelsSavedStates>\n${body}\n</ParallelsSavedStates>\n`);
  renameSync(aside, filePath(machine));
}

const memoryFolder = (machine: Machine) => join(machine.bundlePath, "Snapshots");

/** Takes a snapshot and makes it the current one; answers its id. */
export async function takeSnapshot(
  machine: Machine,
  { name, description, state }: Pick<Snapshot, "name" | "description" | "state">,
): Promise<string> {
  const id = randomUUID();
  const tree = readTree(machine);
  const parent = tree.find(({ current }) => current)?.id ?? null;
  await addSnapshot(machine.bundlePath, id);
  if (state === "poweron") {
    mkdirSync(memoryFolder(machine), { recursive: true });
    // The real one is as large as the machine's memory.
    writeFileSync(join(memoryFolder(machine), `{${id}}.mem`), Buffer.alloc(64 * 1024, 1));
  }
  const snapshot: Snapshot = { id, parent, name, description, state, date: timeText(new Date()), current: true };
  writeTree(machine, [...tree.map((other) => ({ ...other, current: false })), snapshot]);
  return id;
}

export async function snapshot(command: Command): Promise<void> {
  const parsed = parseArguments(command.argv, { name: "value", description: "value", wait: "flag" }, { n: "name", d: "description" });
  const machine = machineNamed(command, parsed.words[0]);
  const state = stateOf(machine, Date.now());
  if (state === "invalid") throw failure("Failed to create the snapshot: The configuration file of the virtual machine is invalid.");
  say("Creating the snapshot...\n");
  const name = parsed.value("name") ?? `Snapshot ${readTree(machine).length + 1}`;
  const id = await takeSnapshot(machine, {
    name,
    description: parsed.value("description") ?? "",
    state: state === "running" || state === "paused" ? "poweron" : "poweroff",
  });
  say(`The snapshot with id {${id}} has been successfully created.\n`);
}

export function snapshotList(command: Command): void {
  const parsed = parseArguments(command.argv, { json: "flag", tree: "flag", id: "value" }, { j: "json", t: "tree", i: "id" });
  const tree = readTree(machineNamed(command, parsed.words[0]));
  const one = parsed.value("id");
  if (one !== null) return say(described(chosen(tree, one)));
  if (parsed.has("json")) {
    const entry = ({ id, parent, name, date, state, current }: Snapshot) =>
      [`{${id}}`, { name, date, state, current, parent: parent === null ? "" : `{${parent}}` }] as const;
    return say(tree.length === 0 ? command.control.noSnapshotsText : parallelsJson(Object.fromEntries(tree.map(entry))));
  }
  if (tree.length === 0) return;
  const row = ({ id, parent, current }: Snapshot) =>
    `${(parent === null ? "" : `{${parent}}`).padStart(38)} ${current ? "*" : " "}${`{${id}}`.padStart(38)}\n`;
  say(`PARENT_SNAPSHOT_ID                      SNAPSHOT_ID\n${tree.map(row).join("")}`);
}

const described = ({ id, name, date, current, state, description }: Snapshot) =>
  `ID: {${id}}\nName: ${name}\nDate: ${date}\n${current ? "Current: yes\n" : ""}State: ${state}\nDescription: ${description}\n`;

function chosen(tree: readonly Snapshot[], handle: string | null): Snapshot {
  if (handle === null) throw failure("The snapshot id is not specified.", 1);
  const found = tree.find(({ id }) => id === handle.replace(/[{}]/g, "").toLowerCase());
  if (!found) throw failure(`Unable to find the snapshot ${handle}: The snapshot could not be found.`);
  return found;
}

export async function snapshotSwitch(command: Command): Promise<void> {
  const parsed = parseArguments(command.argv, { id: "value", "skip-resume": "flag" }, { i: "id" });
  const machine = machineNamed(command, parsed.words[0]);
  const tree = readTree(machine);
  const target = chosen(tree, parsed.value("id"));
  say(`Switch to the snapshot ${target.id}\n`);
  await revertTo(machine.bundlePath, target.id);
  writeTree(
    machine,
    tree.map((other) => ({ ...other, current: other.id === target.id })),
  );
  const nowMs = Date.now();
  const rests = { ...machine, passing: null, guest: null };
  const after: Machine =
    target.state === "poweroff"
      ? { ...rests, settled: "stopped" }
      : parsed.has("skip-resume")
        ? { ...rests, settled: "suspended" }
        : { ...rests, settled: "running", guest: { sinceMs: nowMs, resumed: true } };
  command.registry.alone(() => command.registry.put(after));
  say("The VM has been successfully switched.\n");
}

export async function snapshotDelete(command: Command): Promise<void> {
  const parsed = parseArguments(command.argv, { id: "value", children: "flag" }, { i: "id", c: "children" });
  const machine = machineNamed(command, parsed.words[0]);
  const tree = readTree(machine);
  const target = chosen(tree, parsed.value("id"));
  const gone = parsed.has("children") ? [...descendants(tree, target.id), target] : [target];
  refuseLinked(command, gone);
  say("Delete the snapshot...\n");
  for (const { id } of gone) {
    await dropSnapshot(machine.bundlePath, id);
    rmSync(join(memoryFolder(machine), `{${id}}.mem`), { force: true });
  }
  writeTree(machine, without(tree, gone, target.parent));
  say("The snapshot has been successfully deleted.\n");
}

/** Children before their parents. */
const descendants = (tree: readonly Snapshot[], id: string): Snapshot[] =>
  tree.filter(({ parent }) => parent === id).flatMap((child) => [...descendants(tree, child.id), child]);

function without(tree: readonly Snapshot[], gone: readonly Snapshot[], heir: string | null): Snapshot[] {
  const isGone = (id: string | null) => gone.some((snapshot) => snapshot.id === id);
  const wasCurrent = gone.some(({ current }) => current);
  return tree
    .filter(({ id }) => !isGone(id))
    .map((other) => ({
      ...other,
      parent: isGone(other.parent) ? heir : other.parent,
      current: other.current || (wasCurrent && other.id === heir),
    }));
}

function refuseLinked(command: Command, gone: readonly Snapshot[]): void {
  const clone = command.registry.all().find((machine) => {
    const linkedSnapshot = settingsIfThere(machine.bundlePath)?.linkedSnapshot;
    return gone.some(({ id }) => id === linkedSnapshot);
  });
  if (clone) throw failure(`Failed to delete snapshot: The snapshot is used by the linked clone "${clone.name}".`);
}
