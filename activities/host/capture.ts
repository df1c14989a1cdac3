/** A picture of the machine's screen, sent as lines of base64 over the report channel: an image does not belong into a workflow's history. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Effect } from "../../workflows/machines/operate.ts";
import { effectOf, type Act } from "./act.ts";

/** A multiple of 3 bytes, so that the lines join to one base64 text; well below the limit of a report's line. */
const lineBytes = 96 * 1024;

export async function capture(act: Act): Promise<Effect> {
  const { context, machineId, step, reporter, signal } = act;
  const folder = await mkdtemp(join(tmpdir(), "drover-capture-"));
  try {
    const pngPath = join(folder, "screen.png");
    await context.prlctl.capture(machineId, { pngPath }, { signal });
    const png = await readFile(pngPath);
    for (let at = 0; at < png.length; at += lineBytes) reporter.output(step, "stdout", png.subarray(at, at + lineBytes).toString("base64"));
    return await effectOf(act, { contentType: "image/png", bytes: png.length });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
