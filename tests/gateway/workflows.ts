/** A workflow that sends one word to a host and answers what comes back: enough to see what stands in a history. */
import { proxyActivities } from "@temporalio/workflow";

export interface EchoActivities {
  echo(word: string): Promise<string>;
  refuse(word: string): Promise<void>;
}

const onQueue = (taskQueue: string) =>
  proxyActivities<EchoActivities>({
    taskQueue,
    startToCloseTimeout: "1 minute",
    heartbeatTimeout: "10 seconds",
    retry: { maximumAttempts: 1 },
    cancellationType: "WAIT_CANCELLATION_COMPLETED",
  });

export async function echo(queue: string, word: string): Promise<string> {
  return onQueue(queue).echo(word);
}

export async function refuse(queue: string, word: string): Promise<void> {
  await onQueue(queue).refuse(word);
}
