/** Looks whether a store holds every living tree whole; whatever is wrong is recorded and told, and is no failure of the look. */
import type { Finding } from "../../domain/catalog/care.ts";
import { runOperation } from "../operation.ts";
import { storeWork } from "../proxies.ts";
import type { OperationInput } from "../records.ts";

export interface CheckInput extends OperationInput {
  readonly storeId: string;
  /** The share of packs whose content is read. */
  readonly readData: number;
}

/** The first of many findings; all of them stand in the hub's rows. */
export interface Looked {
  readonly findings: readonly Finding[];
  readonly found: number;
}
export interface StructureLook extends Looked {
  readonly trees: number;
  readonly packs: number;
  readonly packBytes: number;
  readonly orphans: number;
  readonly orphanBytes: number;
  readonly unknownObjects: number;
}
export interface ContentLook extends Looked {
  readonly readPacks: number;
  readonly readBytes: number;
}

/** What a check asks of the hub. Implemented in `activities/hub/check.ts`. */
export interface CheckActivities {
  checkStoreStructure(input: { operationId: string; step: string }): Promise<StructureLook>;
  checkStoreContent(input: { operationId: string; step: string; share: number }): Promise<ContentLook>;
}

const hub = storeWork<CheckActivities>();

export async function check(input: CheckInput): Promise<Record<string, unknown>> {
  const { operationId, readData } = input;
  return runOperation(input, async ({ must }) => {
    const structure = await must("structure", () => hub.checkStoreStructure({ operationId, step: "structure" }));
    if (readData === 0) return { ...structure };
    const content = await must("content", () => hub.checkStoreContent({ operationId, step: "content", share: readData }));
    const findings = [...structure.findings, ...content.findings];
    return { ...structure, ...content, findings, found: structure.found + content.found };
  });
}
