/** Every workflow under the name that it is started by. The one barrel file: the worker's bundle begins here. */
export { pull } from "./catalog/pull.ts";
export { push } from "./catalog/push.ts";
export { adopt } from "./machines/adopt.ts";
export { operate } from "./machines/operate.ts";
export { provision } from "./machines/provision.ts";
export { retire } from "./machines/retire.ts";
