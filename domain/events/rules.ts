/**
 * Who may be told of which event. Pure.
 *
 * The one idea: an event is no more open than the thing that it tells of. Who may not read a machine, image, operation or user by a request is not told of it
 * by a stream, a list or a webhook either; what cannot be judged any more is for super users.
 */
import { holds, type Reader } from "../access/rules.ts";
import type { ClaimId } from "../access/claims.ts";
import { maySee } from "../catalog/rules.ts";
import { mayReach } from "../machines/rules.ts";
import type { EventType } from "./schema.ts";

interface Guarded {
  readonly requiredRoles: readonly string[];
  readonly requiredClaims: readonly string[];
}
/** What the rows say of an event's subject at this moment. */
export interface EventFacts {
  readonly type: EventType;
  readonly name: string;
  readonly project: string;
  /** Of an operation: who asked for it. */
  readonly askedBy: string | null;
  /** Of a machine or an image that is known; null where no row tells who may see it. */
  readonly machine: (Guarded & { readonly owner: string }) | null;
  readonly image: Guarded | null;
}

/** What of an event `type.name` begins with, and the claim that lists such things. */
const access: ReadonlyArray<readonly [begin: string, claim: ClaimId]> = [
  ["user", "LIST_USER"],
  ["role", "LIST_ROLE"],
  ["claim", "LIST_CLAIM"],
  ["api_key", "LIST_API_KEY"],
];

export function maySeeEvent(reader: Reader, { type, name, project, askedBy, machine, image }: EventFacts): boolean {
  if (project !== reader.project) return false;
  if (reader.isSuperUser) return true;
  switch (type) {
    case "operation":
    case "step":
      return askedBy === reader.userId || holds(reader, "JOB_MANAGER_LIST");
    case "machine":
      return machine !== null && holds(reader, "LIST_VM") && mayReach({ ...machine, project }, reader);
    case "host":
      return holds(reader, "LIST");
    case "image":
      return image !== null && holds(reader, "LIST_CATALOG_MANIFEST") && maySee(image, { ...reader, everything: false });
    case "access":
      return access.some(([begin, claim]) => name.startsWith(begin) && holds(reader, claim));
  }
}
