/** The least that a durable operation can be: one workflow with one activity that does nothing. */
import { proxyActivities } from "@temporalio/workflow";

const { nothing } = proxyActivities<{ nothing(): Promise<void> }>({ startToCloseTimeout: "1 minute" });

export async function bare(): Promise<void> {
  await nothing();
}
