/**
 * The wire's `set`: a list of small changes by group and operation, as the actions that we know.
 *
 * The one idea: a table of what exists; whatever is not in it is refused before anything is done.
 */
import type { z } from "zod";
import { MachineAction } from "../../domain/machines/schema.ts";
import { refusal } from "../wire/errors.ts";
import { mebibyte, type ConfigOperation } from "./wire.ts";

type Asked = z.input<typeof MachineAction>;
type Option = { flag: string; value?: string };
type Making = (operation: ConfigOperation) => Asked;

const states = ["start", "stop", "restart", "pause", "resume", "reset", "suspend"] as const;
const configure = (...options: Option[]): Asked => ({ verb: "configure", options });
const given = ({ flags, options }: ConfigOperation): Option[] => [
  ...flags.map((flag) => ({ flag: bare(flag) })),
  ...options.map(({ flag, value }) => ({ flag: bare(flag), value })),
];
const bare = (flag: string): string => flag.replace(/^-+/, "");
const optionOf = ({ options }: ConfigOperation, name: string): string => options.find(({ flag }) => bare(flag) === name)?.value ?? "";
/** `--<flag> <value>` and whatever else was given. */
const led =
  (flag: string): Making =>
  (operation) =>
    configure({ flag, value: operation.value }, ...given(operation));
const valued =
  (flag: string): Making =>
  ({ value }) =>
    configure({ flag, value });

const groups: Readonly<Record<string, Readonly<Record<string, Making>>>> = {
  state: Object.fromEntries(
    states.map((verb) => [
      verb,
      ({ flags }: ConfigOperation): Asked =>
        verb === "stop" && flags.some((flag) => /force|kill/.test(flag)) ? { verb, mode: "kill" } : { verb },
    ]),
  ),
  machine: {
    rename: ({ value }) => ({ verb: "rename", name: value }),
    clone: (operation) => ({ verb: "clone", name: optionOf(operation, "name") || operation.value }),
  },
  cpu: {
    set: ({ value }) => (/^\d+$/.test(value) ? { verb: "configure", vcpus: Number(value) } : configure({ flag: "cpus", value })),
    set_type: valued("cpu-type"),
  },
  memory: {
    set: ({ value }) =>
      /^\d+$/.test(value) ? { verb: "configure", memoryBytes: Number(value) * mebibyte } : configure({ flag: "memsize", value }),
  },
  "boot-order": {
    "boot-order": valued("device-bootorder"),
    "efi-secure-boot": valued("efi-secure-boot"),
    "select-boot-device": valued("select-boot-device"),
    "external-boot-device": valued("external-boot-device"),
  },
  "efi-secure-boot": { set: valued("efi-secure-boot"), "efi-secure-boot": valued("efi-secure-boot") },
  time: {
    "time-sync": valued("time-sync"),
    "time-sync-smart-mode": valued("time-sync-smart-mode"),
    "disable-timezone-sync": valued("disable-timezone-sync"),
    "time-sync-interval": valued("time-sync-interval"),
  },
  network: { add: led("device-add"), set: led("device-set"), remove: led("device-del") },
  device: {
    add: led("device-add"),
    set: led("device-set"),
    remove: led("device-del"),
    connect: led("device-connect"),
    disconnect: led("device-disconnect"),
  },
  "shared-folder": { add: led("shf-host-add"), set: led("shf-host-set"), delete: led("shf-host-del") },
  rosetta: { set: valued("rosetta-linux") },
  cmd: { set: (operation) => configure(...given(operation)) },
};
/** Accepted by the contract, and answered inside the list: we keep machines plain and whole. */
const unserved = new Set(["archive", "unarchive", "pack", "unpack", "encrypt", "decrypt", "reset-uptime", "install-tools"]);

export type Change = { operation: ConfigOperation; action: MachineAction } | { operation: ConfigOperation; error: string };

export function changesOf(operations: readonly ConfigOperation[]): Change[] {
  if (operations.length === 0) throw refusal(400, "Invalid request body: error 400: config operation cannot be empty");
  return operations.map(changeOf);
}

function changeOf(operation: ConfigOperation): Change {
  const { group, operation: verb } = operation;
  if (group === "" || verb === "") throw refusal(400, "Invalid request body: error 400: group and operation are required");
  if (group === "machine" && unserved.has(verb)) return { operation, error: `${verb} is not offered by this service` };
  const known = groups[group.toLowerCase()];
  const making = known?.[verb.toLowerCase()];
  if (!making)
    throw refusal(
      400,
      known && (group === "boot-order" || group === "time")
        ? `error 400: invalid operation ${verb}`
        : `Invalid request body: error 400: operation ${verb} not supported on group ${group}`,
    );
  const action = MachineAction.safeParse(making(operation));
  return action.success
    ? { operation, action: action.data }
    : { operation, error: action.error.issues.map(({ message }) => message).join("; ") };
}
