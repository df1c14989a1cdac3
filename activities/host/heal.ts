/**
 * What a host does to heal a store: it sends what is broken there from the image in its cache.
 *
 * The one idea: it is an ordinary transfer, by grants of its own operation; what the host writes is believed by nobody before the hub has read it back.
 */
import { FaultError } from "../../domain/errors.ts";
import { writeAnew } from "../../images/heal.ts";
import type { HostHealActivities } from "../../workflows/catalog/heal.ts";
import type { HostContext } from "./context.ts";
import { grantedStore } from "./granted-store.ts";
import { openReporter } from "./reporter.ts";

export function healActivities({ attempts, cache, link, pins, transfers }: HostContext): HostHealActivities {
  return {
    writeAnew: ({ operationId, step, plan }) =>
      attempts.run(operationId, "write anew", async ({ signal, note }) => {
        const { digest, from, to, broken, image } = plan;
        if (!(await cache.has(digest)))
          throw new FaultError({ code: "image_not_found", message: `This host has ${image} no more.`, subject: image });
        // The same chunks make the same packs: what an attempt that was killed has brought does not travel again.
        const store = grantedStore(link, operationId, signal, { again: true });
        const reporter = openReporter(link, operationId, await store.begin());
        const wait = () => {
          note({ waitsFor: "a transfer slot" });
          reporter.waits(step, "a transfer slot");
        };
        const onProgress = (doneBytes: number, totalBytes: number) => reporter.progress(step, { doneBytes, totalBytes });
        const ask = { paths: cache.paths(digest), digest, from, to, broken: new Set(broken), store, signal, onProgress };
        return pins.holding([digest], () => transfers.run(signal, () => writeAnew(ask), wait));
      }),
  };
}
