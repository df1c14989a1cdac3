/** Faults of images, bundles, caches and stores. */
import type { CodeFacts } from "../errors.ts";

export const catalogCodes = {
  image_not_found: { kind: "not_found", remedy: "`drover image list` shows the images, versions and architectures you may see." },
  image_exists: { kind: "conflict", remedy: "Choose another version, or push with `--replace` to point this version to the new content." },
  image_busy: { kind: "conflict", remedy: "Wait for the operation that pushes this version, or cancel it." },
  image_tainted: { kind: "forbidden", wireStatus: 400, remedy: "Choose another version, or have the taint removed by an administrator." },
  image_revoked: { kind: "forbidden", wireStatus: 403, remedy: "Choose another version; a revoked one does not come back." },
  bundle_not_found: { kind: "not_found", wireStatus: 400, remedy: "Name a folder that exists on that host and ends in .pvm or .macvm." },
  bundle_invalid: { kind: "invalid", remedy: "Name the folder of a whole machine, as Parallels Desktop keeps it." },
  bundle_refused: { kind: "invalid", remedy: "Do what the message names (stop, unpack, decrypt, or make a full clone), then push again." },
  bundle_changed: { kind: "conflict", remedy: "Stop whatever writes to the bundle, then push again." },
  path_forbidden: { kind: "forbidden", remedy: "Use a path below the host's roots (DROVER_HOST_ROOTS)." },
  no_space: {
    kind: "unavailable",
    parks: true,
    retryable: false,
    remedy: "Free space on that host or give its cache another disk, then retry the step.",
  },
  disk_failed: {
    kind: "unavailable",
    parks: true,
    remedy: "See that the host's disk works and that Drover may read and write the folder which the message names, then retry the step.",
  },
  store_not_found: { kind: "not_found", remedy: "`drover store list` shows the stores." },
  store_invalid: { kind: "invalid", remedy: "Correct the store's location or connection string as the message says." },
  store_in_use: { kind: "conflict", remedy: "Delete or move what the message names, or make another store the default, then remove it." },
  store_exists: { kind: "conflict", remedy: "Choose another name; `drover store list` shows those that are taken." },
  store_read_only: {
    kind: "conflict",
    wireStatus: 400,
    remedy: "Name another store; where the hub may write to this one, `drover store edit <store> --read-write` lifts it.",
  },
  store_denied: {
    kind: "unavailable",
    parks: true,
    retryable: false,
    remedy: "Renew the store's credentials or its policy, then retry the step.",
  },
  store_unavailable: { kind: "unavailable", parks: true, remedy: "Bring the store back, then retry the step." },
  store_busy: { kind: "conflict", remedy: "Wait for the operation that cares for this store, or cancel it." },
  object_leaving: {
    kind: "unavailable",
    parks: true,
    remedy: "The store is being collected and this object is on its way out: wait a minute, then retry the step.",
  },
  retention_invalid: { kind: "invalid", remedy: "Say how many of the newest versions stay, or for how many days pulled ones do, or both." },
  retention_not_found: { kind: "not_found", remedy: "`drover image retention list` shows the rules." },
  store_object_missing: {
    kind: "corrupt",
    remedy: "Bring the object back in the store, from its versions or a backup; docs/operate.md says what helps without one.",
  },
  store_foreign: { kind: "conflict", remedy: "This store belongs to another hub: use a prefix of your own." },
  content_corrupt: {
    kind: "corrupt",
    remedy:
      "Bring back the object that the message names, from the store's versions or a backup; docs/operate.md says what helps without one.",
  },
  prefetch_incomplete: {
    kind: "unavailable",
    retryable: false,
    remedy:
      "See the operations of the hosts that the message names (`drover operation list`), then prefetch again: those that have the image are left out.",
  },
  prefetch_policy_not_found: { kind: "not_found", remedy: "`drover prefetch list` shows the policies." },
  prefetch_policy_exists: { kind: "conflict", remedy: "Choose another name, or remove that policy first." },
  image_not_cached: {
    kind: "conflict",
    remedy: "Try again: the image is fetched anew. Where it happens twice on one host, look at its disk.",
  },
  format_unknown: { kind: "corrupt", remedy: "Upgrade Drover: the object was written by a newer version." },
  archive_not_found: {
    kind: "not_found",
    wireStatus: 400,
    remedy: "`drover image import --list --store <store>` shows what a store holds of the Parallels DevOps service.",
  },
  archive_invalid: {
    kind: "invalid",
    remedy: "Push the machine anew with the service that wrote the archive, or mend its .meta file as the message says.",
  },
  archive_refused: {
    kind: "invalid",
    remedy: "Do not use this archive: it holds what no machine holds. Make it anew from a machine that you trust.",
  },
  archive_corrupt: {
    kind: "corrupt",
    retryable: false,
    remedy: "Bring the archive back from the store's versions or a backup, or push its machine anew with the service that wrote it.",
  },
  catalog_manager_not_found: { kind: "not_found", remedy: "List the catalog managers to see those that you may use." },
  address_forbidden: {
    kind: "invalid",
    remedy: "Name an address that the hub may connect to, or have an administrator add its host to URL_WHITELIST.",
  },
  remote_unreachable: {
    kind: "unavailable",
    wireStatus: 502,
    parks: true,
    remedy: "See that the other catalog runs and that the hub reaches its address, then retry the step.",
  },
  remote_denied: {
    kind: "unavailable",
    wireStatus: 502,
    parks: true,
    retryable: false,
    remedy: "Give the catalog manager credentials that the other catalog accepts, then retry the step.",
  },
} as const satisfies Record<string, CodeFacts>;
