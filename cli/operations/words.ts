/** How an operation that is done is told: what it brought, and how fast. */
import { z } from "zod";
import { bytes, rate } from "../output/format.ts";
import type { OperationDetail } from "../wire.ts";
import { took } from "./await.ts";

/** Results that have figures worth a sentence; whatever is missing is left out. */
const Moved = z.object({
  image: z.string().optional(),
  logicalBytes: z.number().optional(),
  newBytes: z.number().optional(),
  storedBytes: z.number().optional(),
  fetchedBytes: z.number().optional(),
  wasCached: z.boolean().optional(),
});

export function outcomeWords(detail: OperationDetail): string {
  const { verb, subject, image } = detail;
  const moved = Moved.safeParse(detail.result ?? {}).data ?? {};
  const time = took(detail);
  if (verb === "push") return `Pushed ${moved.image ?? image ?? subject} in ${time}${pushed(moved)}.`;
  if (verb === "pull")
    return `${moved.wasCached ? "Already there:" : "Pulled"} ${moved.image ?? image ?? subject} in ${time}${pulled(moved, detail)}.`;
  return `${verb} ${subject}: done in ${time}.`;
}

function pushed({ logicalBytes, newBytes, storedBytes }: z.infer<typeof Moved>): string {
  if (logicalBytes === undefined || newBytes === undefined) return "";
  return `: ${bytes(logicalBytes)}, of which ${bytes(newBytes)} were new${storedBytes === undefined ? "" : ` (${bytes(storedBytes)} stored)`}`;
}

function pulled({ fetchedBytes, logicalBytes }: z.infer<typeof Moved>, { createdAt, endedAt }: OperationDetail): string {
  if (fetchedBytes === undefined || logicalBytes === undefined) return "";
  const seconds = endedAt ? (endedAt.getTime() - createdAt.getTime()) / 1000 : 0;
  return `: ${bytes(fetchedBytes)} of ${bytes(logicalBytes)} fetched${seconds > 0 && fetchedBytes > 0 ? `, ${rate(fetchedBytes / seconds)}` : ""}`;
}
