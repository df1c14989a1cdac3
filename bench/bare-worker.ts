/**
 * A process with a client and a worker of bare one-activity workflows: what Temporal alone takes on this computer, in this run.
 *
 * Its one argument is a `BareAsk` as JSON; it writes a `Bare` as JSON.
 */
import { randomUUID } from "node:crypto";
import { fileURLToPath } from "node:url";
import { Client, Connection } from "@temporalio/client";
import { DefaultLogger, NativeConnection, Runtime, Worker } from "@temporalio/worker";

export interface BareAsk {
  readonly address: string;
  readonly namespace: string;
  /** So many one after the other, then so many started one by one and running together. */
  readonly alone: number;
  readonly together: number;
}
export interface Bare {
  /** The median of one, from its start to its result. */
  readonly aloneMs: number;
  readonly perSecond: number;
}

/** A moment for the first caches of client, worker and server. */
const warmUps = 5;

async function measure({ address, namespace, alone, together }: BareAsk): Promise<Bare> {
  Runtime.install({ logger: new DefaultLogger("ERROR") });
  const taskQueue = `bench-${randomUUID()}`;
  const connection = await NativeConnection.connect({ address });
  const client = new Client({ connection: await Connection.connect({ address }), namespace });
  const worker = await Worker.create({
    connection,
    namespace,
    taskQueue,
    workflowsPath: fileURLToPath(new URL("./bare-workflow.ts", import.meta.url)),
    activities: { nothing: async () => {} },
  });
  const start = () => client.workflow.start("bare", { taskQueue, workflowId: `bench/${randomUUID()}` });
  return worker.runUntil(async () => {
    const took: number[] = [];
    for (let done = -warmUps; done < alone; done++) {
      const began = performance.now();
      await (await start()).result();
      if (done >= 0) took.push(performance.now() - began);
    }
    took.sort((a, b) => a - b);
    const began = performance.now();
    const running: Promise<unknown>[] = [];
    for (let begun = 0; begun < together; begun++) running.push((await start()).result());
    await Promise.all(running);
    const seconds = (performance.now() - began) / 1000;
    return { aloneMs: took[Math.floor(took.length / 2)] ?? 0, perSecond: together / seconds };
  });
}

process.stdout.write(JSON.stringify(await measure(JSON.parse(process.argv[2] ?? "{}") as BareAsk)));
process.exit(0);
