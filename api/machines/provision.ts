/**
 * The wire's ways to a new machine: a create and a pull are one operation under two names.
 *
 * The one idea: whatever keeps an image from being pulled is a 400 there.
 */
import { FaultError } from "../../domain/errors.ts";
import type { Machine, NewMachine } from "../../domain/machines/schema.ts";
import type { Operation } from "../../domain/operations/schema.ts";
import type { Asked } from "../../control/start.ts";
import type { Hub } from "../ports.ts";
import { refusal } from "../wire/errors.ts";

const ofTheImage = new Set(["image_not_found", "image_revoked", "image_tainted"]);

export async function provision(hub: Hub, asked: Asked, wanted: NewMachine): Promise<{ operation: Operation; machine: Machine }> {
  const begun = await hub.operations.provision(wanted, asked);
  if (!begun.ok) {
    if (ofTheImage.has(begun.fault.code)) throw refusal(400, `Error pulling manifest: ${begun.fault.message}`);
    throw new FaultError(begun.fault);
  }
  return begun.value;
}
