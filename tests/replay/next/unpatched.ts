/** A next release as it must not be: the same change, made without asking. */
import { sleep } from "@temporalio/workflow";
import { push as pushBefore, type PushInput } from "../../../workflows/catalog/push.ts";

export * from "../../../workflows/index.ts";

export async function push(input: PushInput): Promise<Record<string, unknown>> {
  await sleep(1);
  return pushBefore(input);
}
