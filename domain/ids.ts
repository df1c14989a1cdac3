/**
 * The shapes of ids that every capability shares. An id is opaque to its reader; only its maker knows more.
 *
 * They are no components of the OpenAPI document: a reference to one cannot say that it may be null.
 */
import { z } from "zod";

export const Uuid = z.uuid().toLowerCase();
export const OperationId = Uuid.meta({ description: "UUIDv7 of an operation; sorts by time." });
export const MachineId = Uuid.meta({ description: "UUID of a machine: the one that Parallels Desktop knows it by." });
export const HostId = Uuid.meta({ description: "UUID of a host, issued at enrolment." });
export const StoreId = Uuid.meta({ description: "UUID of a store." });
export const Sha256 = z.string().regex(/^[0-9a-f]{64}$/, "64 lower-case hexadecimal digits");
