/**
 * What operations are found by in the Temporal web UI, as far as it is learnt on the way.
 *
 * The one idea: a search attribute tells where the operation is now, so a new placement overwrites the old one. They are not encrypted: never a secret.
 */
import { defineSearchAttributeKey, type SearchAttributePair } from "@temporalio/common";
import { upsertSearchAttributes } from "@temporalio/workflow";

const host = defineSearchAttributeKey("DroverHost", "KEYWORD");
const image = defineSearchAttributeKey("DroverImage", "KEYWORD");
const operation = defineSearchAttributeKey("DroverOperation", "KEYWORD");
const parked = defineSearchAttributeKey("DroverParked", "KEYWORD");

/** Of an operation that another one begins. */
export const attributesOf = (child: { operationId: string; hostId: string; image: string }): SearchAttributePair[] => [
  { key: operation, value: child.operationId },
  { key: host, value: child.hostId },
  { key: image, value: child.image },
];

export const markHost = (hostId: string): void => upsertSearchAttributes([{ key: host, value: hostId }]);
export const markImage = (name: string): void => upsertSearchAttributes([{ key: image, value: name }]);
/** With the code of the fault; null takes the mark away. */
export const markParked = (code: string | null): void => upsertSearchAttributes([{ key: parked, value: code }]);
