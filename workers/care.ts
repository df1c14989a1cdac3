/** How the hub worker cares for images and stores: the activities of collections, checks, scrubs, healings and retention, bound to what they need. */
import { checkActivities, scrubActivities, type Healing } from "../activities/hub/check.ts";
import { collectActivities } from "../activities/hub/collect.ts";
import { healActivities } from "../activities/hub/heal.ts";
import { retainActivities } from "../activities/hub/retain.ts";
import type { Caring } from "../activities/hub/store-care.ts";
import { requestHeal, tendAll } from "../control/care.ts";
import { prefetchDue } from "../control/prefetch.ts";
import { system } from "../control/retire.ts";
import type { Control } from "../control/start.ts";
import { defaultProject } from "../domain/access/rules.ts";
import type { TendActivities } from "../workflows/catalog/tend.ts";

export type CareSettings = Pick<Caring, "workFolder" | "graceMs" | "scrubShare">;

export function careActivities(control: Control, openStore: Caring["openStore"], settings: CareSettings) {
  const { db, hubId, log } = control;
  const caring: Caring = { db, hubId, openStore, ...settings };
  const tend: TendActivities = {
    askForCare: ({ care, run, subject = "" }) =>
      care === "prefetch" ? prefetchDue(control, { policyId: subject, run }) : tendAll(control, { care, run }),
  };
  const heal: Healing["heal"] = async ({ scrub, ...ask }) => {
    const idempotency = { key: `${scrub}/${ask.digest}`, route: "heal", body: null };
    const begun = await requestHeal(control, ask, { actor: system(defaultProject), requestId: null, idempotency });
    if (begun.ok) return begun.value;
    log.warn(
      { event: "heal.put_off", image: ask.image, fault: begun.fault },
      "A damaged image could not be healed now; the next scrub tries again.",
    );
    return null;
  };
  return {
    ...collectActivities(caring),
    ...checkActivities(caring),
    ...scrubActivities(caring, { heal }),
    ...healActivities(caring),
    ...retainActivities({ db }),
    ...tend,
  };
}
