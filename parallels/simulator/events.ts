/**
 * `prlctl monitor-events --json`: one JSON object per line, endless.
 *
 * The one idea: states follow from the clock, so events are the differences between two looks at the registry.
 */
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { timeText } from "../bundle/config.ts";
import { say, type Command } from "./command.ts";
import { stateOf, toolsOf } from "./machine.ts";

/** Short against any transition that a test gives a length. */
const lookEveryMs = 50;

interface Look {
  readonly state: string;
  readonly tools: string;
  readonly config: number;
  readonly snapshots: number;
  readonly bundlePath: string;
}

const changedAt = (path: string): number => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;

export async function monitorEvents(command: Command): Promise<never> {
  let before = look(command);
  for (;;) {
    await sleep(lookEveryMs);
    const after = look(command);
    for (const [id, now] of after) tell(id, before.get(id), now);
    for (const [id, { bundlePath }] of before) if (!after.has(id)) emit(id, existsSync(bundlePath) ? "vm_unregistered" : "vm_deleted");
    before = after;
  }
}

function look(command: Command): Map<string, Look> {
  const nowMs = Date.now();
  return new Map(
    command.registry.all().map((machine) => {
      const { bundlePath } = machine;
      const facts = { state: stateOf(machine, nowMs), tools: toolsOf(machine, command.control, nowMs), bundlePath };
      return [
        machine.id,
        { ...facts, config: changedAt(join(bundlePath, "config.pvs")), snapshots: changedAt(join(bundlePath, "Snapshots.xml")) },
      ];
    }),
  );
}

function tell(id: string, before: Look | undefined, now: Look): void {
  if (!before) return emit(id, "vm_added");
  if (before.state !== now.state) emit(id, "vm_state_changed", { "Vm state name": now.state });
  if (before.tools !== now.tools) emit(id, "vm_tools_state_changed");
  if (before.config !== now.config) emit(id, "vm_config_changed");
  if (before.snapshots !== now.snapshots) emit(id, "vm_snapshots_tree_changed");
}

function emit(id: string, name: string, information?: Record<string, string>): void {
  const event = {
    Timestamp: timeText(new Date()),
    "VM ID": id,
    "Event name": name,
    ...(information && { "Additional info": information }),
  };
  say(`${JSON.stringify(event)}\n`);
}
