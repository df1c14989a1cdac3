/** `drover machine capture`: a picture of a machine's screen as a PNG file. */
import { writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import { pathOf } from "../client.ts";
import type { Context } from "../context.ts";
import { awaitOperation, tellOutcome } from "../operations/await.ts";
import { seeThrough, waitingOf } from "../operations/start.ts";
import { bytes } from "../output/format.ts";
import { requestAction } from "./actions.ts";

/** A picture has a few megabytes. */
const pictureMs = 60_000;

export async function captureScreen(
  context: Context,
  [machine = "", file = `${machine}.png`]: readonly string[],
  options: unknown,
): Promise<number> {
  const waiting = waitingOf(options);
  const client = await context.hub();
  const operation = await requestAction(client, machine, { verb: "capture" }, waiting);
  if (waiting.detach) return seeThrough(context, client, { operation, waiting });
  const awaited = await awaitOperation(context, client, { operationId: operation.id, timeoutMs: waiting.timeout });
  if (awaited.detail?.state !== "done") return tellOutcome(context, operation.id, awaited, { words: () => "" });

  const response = await client.raw(
    `${pathOf("operations", operation.id)}/screen`,
    { accept: "image/png" },
    AbortSignal.timeout(pictureMs),
  );
  const picture = new Uint8Array(await response.arrayBuffer());
  if (file === "-") {
    context.streams.out.write(picture);
    return 0;
  }
  await writeFile(resolve(context.folder, file), picture);
  context.show(
    { operationId: operation.id, file: resolve(context.folder, file), bytes: picture.length },
    () => `Saved ${file} (${bytes(picture.length)}).`,
  );
  return 0;
}
