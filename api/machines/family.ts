/**
 * What tells the wire's families of machine routes apart, and how each finds its machines.
 *
 * The one idea: foreign machines are shown and never touched; what another host has does not exist for a request that names a host.
 */
import type { ClaimId } from "../../domain/access/claims.ts";
import { FaultError } from "../../domain/errors.ts";
import { namedMachines, type SeenMachine } from "../../db/observed.ts";
import type { Hub } from "../ports.ts";
import { refusal } from "../wire/errors.ts";
import type { Call } from "../wire/mount.ts";

export interface Family {
  readonly base: string;
  /** The machine's name in the path. */
  readonly param: string;
  readonly tag: string;
  readonly fleet: boolean;
  readonly readStatus: 200 | 202;
  readonly claims: Readonly<Record<"list" | "update" | "states" | "remove" | "clone", ClaimId>>;
  /** Null: of all hosts. */
  hostId(hub: Hub, call: Pick<Call<unknown>, "c" | "param">): Promise<string | null>;
}

type Asking = Pick<Call<unknown>, "c" | "param" | "actor">;

/** By id or name, in any case. What another host has does not exist for a request that names a host, nor what its caller may not reach. */
export async function found(hub: Hub, call: Asking, family: Family): Promise<SeenMachine> {
  const word = call.param(family.param).toLowerCase();
  const all = await namedMachines(hub.db, word, { hostId: (await family.hostId(hub, call)) ?? undefined, reader: call.actor });
  const one = all.find(({ machine, seen }) => (machine?.id ?? seen?.id) === word) ?? all[0];
  if (one) return one;
  throw new FaultError({ code: "machine_not_found", message: `There is no machine ${word}.` });
}

/** One that is ours: foreign machines are shown and never touched. */
export async function own(hub: Hub, call: Asking, family: Family): Promise<{ id: string; machine: NonNullable<SeenMachine["machine"]> }> {
  const { machine, seen } = await found(hub, call, family);
  if (machine) return { id: machine.id, machine };
  throw refusal(400, `error 400: ${seen?.name ?? "the machine"} was not made by this service; adopt it first`);
}
