/** Every workflow under the name that it is started by. The one barrel file: the worker's bundle begins here. */
export { check } from "./catalog/check.ts";
export { collect } from "./catalog/collect.ts";
export { exportImage as export } from "./catalog/export.ts";
export { heal } from "./catalog/heal.ts";
export { importImage as import } from "./catalog/import.ts";
export { cache } from "./catalog/cache.ts";
export { prefetch } from "./catalog/prefetch.ts";
export { pull } from "./catalog/pull.ts";
export { push } from "./catalog/push.ts";
export { retain } from "./catalog/retain.ts";
export { scrub } from "./catalog/scrub.ts";
export { tend } from "./catalog/tend.ts";
export { adopt } from "./machines/adopt.ts";
export { letGo } from "./machines/let-go.ts";
export { operate } from "./machines/operate.ts";
export { provision } from "./machines/provision.ts";
export { retire } from "./machines/retire.ts";
export { deliver } from "./webhooks/deliver.ts";
