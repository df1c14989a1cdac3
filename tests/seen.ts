/** A machine as a host reports it, for tests that play the host. */
import { randomUUID } from "node:crypto";
import type { ObservedMachine } from "../domain/machines/schema.ts";

/** A small stopped machine of nobody; what the test is about is given. */
export function seenMachine(told: Partial<ObservedMachine> = {}): ObservedMachine {
  const { id = randomUUID(), name = `m-${id}` } = told;
  return {
    id,
    name,
    state: "stopped",
    kind: "pvm",
    guestOs: null,
    vcpus: 2,
    memoryBytes: 1024 ** 3,
    diskBytes: 1024 ** 3,
    macAddress: null,
    addresses: [],
    bundlePath: `/machines/${name}.pvm`,
    tools: null,
    mark: null,
    raw: {},
    ...told,
  };
}
