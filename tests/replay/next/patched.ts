/** A next release as it should be: a push does one thing more, and asks `patched` whether the operation began under the code that does it. */
import { patched, sleep } from "@temporalio/workflow";
import { push as pushBefore, type PushInput } from "../../../workflows/catalog/push.ts";

export * from "../../../workflows/index.ts";

export async function push(input: PushInput): Promise<Record<string, unknown>> {
  if (patched("push-takes-a-breath")) await sleep(1);
  return pushBefore(input);
}
