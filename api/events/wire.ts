/**
 * What happened, as the messages that the wire's WebSocket clients know.
 *
 * The one idea: each message is made from a row of the events, read with the thing that it tells of; what the contract has no word for is not sent.
 */
import { createHash, randomBytes } from "node:crypto";
import { z } from "zod";
import type { ClaimId } from "../../domain/access/claims.ts";
import { holds, mayUse, type Needs, type Reader } from "../../domain/access/rules.ts";
import { maySeeEvent, type EventFacts } from "../../domain/events/rules.ts";
import type { Event } from "../../domain/events/schema.ts";
import { machineStates, mayReach } from "../../domain/machines/rules.ts";
import type { SeenMachine } from "../../db/observed.ts";
import { Snapshot } from "../../domain/machines/schema.ts";
import { named, type JobName } from "../operations/job.ts";
import { wireHostState, wireMachine, wireSnapshots, wireState } from "../machines/wire.ts";

export const wireEventTypes = [
  "global",
  "pdfm",
  "system",
  "system_logs",
  "health",
  "orchestrator",
  "stats",
  "reverse_proxy",
  "catalog_cache",
  "job_manager",
  "auth",
] as const;
export const WireEventType = z.enum(wireEventTypes);
export type WireEventType = z.infer<typeof WireEventType>;

export interface Message {
  readonly event_type: WireEventType;
  readonly message: string;
  readonly body?: unknown;
  readonly ref_id?: string;
  readonly client_id?: string;
  /** Of a job: the name that its asker knows it by, and nobody else. */
  readonly name?: JobName | null;
}

/** As one reader is told it. */
export const messageTo = ({ name = null, ...message }: Message, reader: Reader): Message =>
  name === null || typeof message.body !== "object" || message.body === null
    ? message
    : { ...message, body: named(message.body, name, reader) };

/** An event's message has the same id whoever is told it and however often: who was told twice knows it. */
export function framed(message: Message, of?: { event: Event; place: number }): string {
  const now = () => ({ id: randomBytes(32).toString("hex"), timestamp: new Date().toISOString() });
  if (!of) return JSON.stringify({ ...now(), ...message });
  const { number, at } = of.event;
  const id = createHash("sha256").update(`${number}/${of.place}/${at.toISOString()}`).digest("hex");
  return JSON.stringify({ id, timestamp: at.toISOString(), cursor: String(number), ...message });
}

const any = (...claims: ClaimId[]): Needs => ({ claims, any: true });
/** What a subscriber must hold to be told of a type, beside seeing the thing itself. */
const seeing: Partial<Record<WireEventType, Needs>> = {
  pdfm: any("LIST_VM", "LIST"),
  orchestrator: any("LIST"),
  catalog_cache: any("LIST_CACHE"),
  stats: any("LIST"),
  system_logs: { superUser: true },
};

/** `facts`: of the event that the message tells; null for what tells of this process. */
export function maySeeMessage(reader: Reader, { event_type: type, message }: Message, facts: EventFacts | null): boolean {
  if (facts === null) return mayUse(reader, seeing[type] ?? { superUser: true }).ok;
  if (type === "job_manager" || type === "auth") return maySeeEvent(reader, facts);
  const { project, machine } = facts;
  if (message.endsWith("VM_SNAPSHOTS_UPDATED") && !maySeeSnapshots(reader, machine)) return false;
  const reaches = facts.type !== "machine" || (machine !== null && mayReach({ ...machine, project }, reader));
  return project === reader.project && reaches && mayUse(reader, seeing[type] ?? { superUser: true }).ok;
}

/** As the list of them asks. */
const maySeeSnapshots = (reader: Reader, machine: EventFacts["machine"]): boolean =>
  holds(reader, "LIST_SNAPSHOT_VM") || (holds(reader, "LIST_OWN_VM_SNAPSHOT") && machine?.owner === reader.userId);

const State = z.enum(machineStates).catch("unknown");

/** For who listens to machines, and for who listens to hosts. */
const twice = (one: SeenMachine | null, message: string, told: object): Message[] => [
  { event_type: "pdfm", message, body: told },
  ...(one?.host ? [{ event_type: "orchestrator", message: `HOST_${message}`, body: { host_id: one.host.id, event: told } } as const] : []),
];

/** As the host listed them when the operation that changed them ended. */
export function snapshotMessages({ subjectId }: Event, one: SeenMachine | null, listed: unknown): Message[] {
  const snapshots = z.array(Snapshot).safeParse(listed);
  if (!one || !snapshots.success) return [];
  return twice(one, "VM_SNAPSHOTS_UPDATED", { vm_id: subjectId, snapshots: [], ...wireSnapshots(snapshots.data, false) });
}

/** `one`: the machine that the event tells of, null when it is gone. */
export function machineMessages({ name, subjectId, body }: Event, one: SeenMachine | null): Message[] {
  const about = (message: string, told: object) => twice(one, message, told);
  if (name === "machine.retired" || name === "machine.forgotten") return about("VM_REMOVED", { vm_id: subjectId });
  if (!one) return [];
  const shown = { vm_id: subjectId, new_vm: wireMachine(one, { fleet: false }) };
  if (name !== "machine.observed") return about(name === "machine.ready" ? "VM_ADDED" : "VM_UPDATED", shown);
  const [before, now] = [wireState(State.parse(body["before"])), wireState(State.parse(body["observed"]))];
  if (before === now) return [];
  return about("VM_STATE_CHANGED", { previous_state: before, current_state: now, vm_id: subjectId });
}

export function hostMessages({ name, subjectId, body }: Event): Message[] {
  const told = (message: string, more: object): Message[] => [
    { event_type: "orchestrator", message, body: { host_id: subjectId, ...more } },
  ];
  const state = name.slice("host.".length);
  if (name === "host.cache") return cacheMessages(subjectId, body);
  if (name === "host.enrolled" || name === "host.replaced") return told("HOST_ADDED", { host: body["name"], description: body["name"] });
  if (name === "host.removed") return told("HOST_REMOVED", { host: body["name"] });
  if (["online", "late", "lost"].includes(state)) return told("HOST_HEALTH_UPDATE", { state: wireHostState({ state }) });
  return [];
}

const Digests = z.array(z.string()).catch([]);

/** By the digests: names of images are told to those who may see them, by other routes. */
function cacheMessages(hostId: string, body: Event["body"]): Message[] {
  const told = (message: string, digests: unknown): Message[] =>
    Digests.parse(digests).flatMap((digest) => {
      const event = { message, host_id: hostId, digest };
      return [
        { event_type: "catalog_cache", message, body: { host_id: hostId, digest } },
        { event_type: "orchestrator", message: "HOST_CATALOG_CACHE_EVENT", body: { host_id: hostId, event } },
      ];
    });
  return [...told("CACHE_ITEM_ADDED", body["added"]), ...told("CACHE_ITEM_REMOVED", body["removed"])];
}

/** `user_role.added` becomes USER_ROLE_ADDED with `user_id` and `role_id`. */
export function accessMessages({ name, body }: Event): Message[] {
  if (name.startsWith("api_key.")) return [];
  const fields = Object.entries(body).map(([key, value]) => [key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`), value]);
  return [{ event_type: "auth", message: name.replace(".", "_").toUpperCase(), body: Object.fromEntries(fields) }];
}

/** The message of an operation's event; its body is the job. */
export function jobMessage(name: string): string | null {
  if (!name.startsWith("operation.")) return null;
  const words: Readonly<Record<string, string>> = { pending: "JOB_CREATED", done: "JOB_COMPLETED", hidden: "JOB_DELETED" };
  return words[name.slice("operation.".length)] ?? "JOB_UPDATED";
}
