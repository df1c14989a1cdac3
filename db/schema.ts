/**
 * The tables, as drizzle sees them; `migrations/` is generated from this file.
 *
 * The one idea: whatever must be true together is written together. An operation, its intent, its holds and its reservation are one transaction;
 * events and audit rows are written in the transaction of what they tell and numbered later by one relay.
 */
import { sql } from "drizzle-orm";
import {
  bigint,
  boolean,
  customType,
  index,
  integer,
  jsonb,
  pgSequence,
  pgTable,
  primaryKey,
  real,
  text,
  timestamp,
  uniqueIndex,
  uuid,
} from "drizzle-orm/pg-core";
import type { FaultRecord, Progress } from "../domain/operations/schema.ts";
import type { HostState } from "../domain/hosts/rules.ts";
import type { CachedImage, HostFacts } from "../domain/hosts/schema.ts";
import type { Drift, ObservedMachine, Pending } from "../domain/machines/schema.ts";
import type { Standing } from "../domain/machines/truth.ts";
import type { MachineState, DesiredState } from "../domain/machines/rules.ts";
import type { HoldMode, OnFault, OperationState, StepState, Verb } from "../domain/operations/rules.ts";
import type { StoreKind } from "../domain/catalog/store-location.ts";
import type { Architecture, Holder } from "../domain/catalog/rules.ts";
import type { Probe } from "../domain/catalog/schema.ts";
import type { IdleState, Refused } from "../domain/pools/rules.ts";
import type { Cors, HttpRoute, TcpRoute } from "../domain/routing/schema.ts";
import type { DeliveryState, WebhookKind } from "../domain/webhooks/rules.ts";

const bytes = (name: string) => bigint(name, { mode: "number" });
const time = (name: string) => timestamp(name, { withTimezone: true, mode: "date" });
const words = (name: string) =>
  text(name)
    .array()
    .notNull()
    .default(sql`'{}'::text[]`);
const bytea = customType<{ data: Uint8Array; driverData: Buffer }>({
  dataType: () => "bytea",
  toDriver: (value) => Buffer.from(value),
  fromDriver: (value) => new Uint8Array(value),
});
const project = () =>
  text("project")
    .notNull()
    .default("default")
    .references(() => projects.id);
const created = () => time("created_at").notNull().defaultNow();
const updated = () => time("updated_at").notNull().defaultNow();

/** Who owns things, and how much of them; a limit that is null is none. */
export const projects = pgTable("projects", {
  id: text("id").primaryKey(),
  maxMachines: integer("max_machines"),
  maxVcpus: integer("max_vcpus"),
  maxMemoryBytes: bytes("max_memory_bytes"),
  maxStorageBytes: bytes("max_storage_bytes"),
  createdAt: created(),
});

/** One row: who this hub is. Its id stands in every store that it owns. */
export const hub = pgTable("hub", {
  id: uuid("id").primaryKey(),
  /** Tells whether the master key at hand is the one that sealed what is stored here. */
  masterKeyCheck: bytea("master_key_check"),
  masterKeySince: time("master_key_since"),
  /** The newest audit record that was dropped for its age: the chain of those that stay begins after it. */
  auditDroppedNumber: bigint("audit_dropped_number", { mode: "number" }),
  auditDroppedHash: text("audit_dropped_hash"),
  createdAt: created(),
});

/** Keys wrapped by the master key: payload key ring, token signing keys, the hub authority's key and certificate. */
export const keys = pgTable(
  "keys",
  {
    id: text("id").primaryKey(),
    purpose: text("purpose").$type<"payload" | "signing" | "authority" | "grant">().notNull(),
    wrapped: bytea("wrapped").notNull(),
    public: jsonb("public").$type<Record<string, unknown>>(),
    current: boolean("current").notNull().default(true),
    createdAt: created(),
  },
  (table) => [index("keys_purpose").on(table.purpose)],
);

export const users = pgTable(
  "users",
  {
    id: text("id").primaryKey(),
    project: project(),
    username: text("username").notNull(),
    name: text("name").notNull(),
    email: text("email").notNull(),
    passwordHash: text("password_hash"),
    roles: words("roles"),
    claims: words("claims"),
    failedLogins: integer("failed_logins").notNull().default(0),
    lastFailedAt: time("last_failed_at"),
    createdAt: created(),
    updatedAt: updated(),
  },
  (table) => [uniqueIndex("users_username").on(sql`lower(${table.username})`), uniqueIndex("users_email").on(sql`lower(${table.email})`)],
);

export const roles = pgTable("roles", {
  id: text("id").primaryKey(),
  description: text("description").notNull().default(""),
  internal: boolean("internal").notNull().default(false),
  claims: words("claims"),
});

export const claims = pgTable("claims", {
  id: text("id").primaryKey(),
  description: text("description").notNull().default(""),
  internal: boolean("internal").notNull().default(false),
  group: text("group").notNull().default("Custom"),
  resource: text("resource").notNull().default(""),
  action: text("action").notNull().default(""),
});

export const apiKeys = pgTable(
  "api_keys",
  {
    id: uuid("id").primaryKey(),
    name: text("name").notNull(),
    key: text("key").notNull(),
    /** `sha256:<hex>` of keys that we made, an Argon2id string of those that callers chose. */
    secretHash: text("secret_hash").notNull(),
    userId: text("user_id").references(() => users.id, { onDelete: "cascade" }),
    expiresAt: time("expires_at"),
    revokedAt: time("revoked_at"),
    /** The claims that the key is limited to; null for all of its user's. */
    claims: text("claims").array(),
    createdAt: created(),
  },
  (table) => [uniqueIndex("api_keys_name").on(sql`lower(${table.name})`)],
);

/** Whom this hub believes about who people are. One per issuer, so that an issuer's token has one meaning. */
export const identityProviders = pgTable(
  "identity_providers",
  {
    id: uuid("id").primaryKey(),
    name: text("name").notNull(),
    issuer: text("issuer").notNull(),
    clientId: text("client_id").notNull(),
    scopes: words("scopes"),
    userNameClaim: text("user_name_claim").notNull(),
    groupsClaim: text("groups_claim").notNull(),
    groupRoles: jsonb("group_roles").$type<Record<string, string[]>>().notNull().default({}),
    makesUsers: boolean("makes_users").notNull(),
    bearerAudiences: words("bearer_audiences"),
    createdAt: created(),
    updatedAt: updated(),
  },
  (table) => [
    uniqueIndex("identity_providers_name").on(sql`lower(${table.name})`),
    uniqueIndex("identity_providers_issuer").on(table.issuer),
  ],
);

/** Which user a subject of an issuer is. Stays when its provider is removed, and means the same when that comes back. */
export const identities = pgTable(
  "identities",
  {
    id: uuid("id").primaryKey(),
    issuer: text("issuer").notNull(),
    subject: text("subject").notNull(),
    userId: text("user_id")
      .notNull()
      .references(() => users.id, { onDelete: "cascade" }),
    /** Roles that the user has by this identity's groups, to be taken away when the groups change. */
    roles: words("roles"),
    createdAt: created(),
    lastLoginAt: time("last_login_at"),
  },
  (table) => [uniqueIndex("identities_subject").on(table.issuer, table.subject), index("identities_user").on(table.userId)],
);

/** Which workloads may come in without a stored secret, and as which user. */
export const identityRules = pgTable(
  "identity_rules",
  {
    id: uuid("id").primaryKey(),
    name: text("name").notNull(),
    issuer: text("issuer").notNull(),
    audience: text("audience").notNull(),
    conditions: jsonb("conditions").$type<Record<string, string>>().notNull(),
    userId: text("user_id")
      .notNull()
      .references(() => users.id, { onDelete: "cascade" }),
    lifetimeMs: integer("lifetime_ms").notNull(),
    createdBy: text("created_by").notNull(),
    createdAt: created(),
  },
  (table) => [uniqueIndex("identity_rules_name").on(sql`lower(${table.name})`), index("identity_rules_issuer").on(table.issuer)],
);

/** Tokens of others that were exchanged, until they would have ended: none is exchanged twice. */
export const exchangedTokens = pgTable(
  "exchanged_tokens",
  { id: text("id").primaryKey(), expiresAt: time("expires_at").notNull() },
  (table) => [index("exchanged_tokens_expiry").on(table.expiresAt)],
);

/** Wrong passwords of late, by whom they were tried for and where they came from; the key is a hash of both. */
export const loginGuesses = pgTable(
  "login_guesses",
  {
    key: text("key").primaryKey(),
    count: integer("count").notNull().default(0),
    failedAt: time("failed_at").notNull().defaultNow(),
    /** What is left of the tries that a locked pair has, as of the last one. */
    tries: real("tries").notNull().default(3),
    triedAt: time("tried_at").notNull().defaultNow(),
  },
  (table) => [index("login_guesses_failed").on(table.failedAt)],
);

/** What a client of the wire keeps for its user, such as the looks of a web page. The hub does not read it. */
export const userConfigs = pgTable(
  "user_configs",
  {
    id: uuid("id").primaryKey(),
    userId: text("user_id")
      .notNull()
      .references(() => users.id, { onDelete: "cascade" }),
    slug: text("slug").notNull(),
    name: text("name").notNull(),
    type: text("type").$type<"string" | "bool" | "int" | "json">().notNull(),
    /** Empty where `sealed` holds it: rows of older releases are in clear. */
    value: text("value").notNull(),
    sealed: bytea("sealed"),
    createdAt: created(),
    updatedAt: updated(),
  },
  (table) => [uniqueIndex("user_configs_slug").on(table.userId, table.slug)],
);

/** Templates of the Packer builder, kept for clients that list them; nothing is built from them here. */
export const packerTemplates = pgTable(
  "packer_templates",
  {
    id: text("id").notNull(),
    project: project(),
    name: text("name").notNull(),
    description: text("description").notNull(),
    packerFolder: text("packer_folder").notNull(),
    variables: jsonb("variables").$type<Record<string, string>>().notNull(),
    addons: words("addons"),
    specs: jsonb("specs").$type<Record<string, string>>().notNull(),
    defaults: jsonb("defaults").$type<Record<string, string>>().notNull(),
    /** Not to be changed or removed by callers. */
    internal: boolean("internal").notNull(),
    requiredRoles: words("required_roles"),
    requiredClaims: words("required_claims"),
    createdAt: created(),
    updatedAt: updated(),
  },
  (table) => [primaryKey({ columns: [table.project, table.id] })],
);

/** Catalogs of other hubs or Parallels DevOps services, reached through this one. Ids as their makers gave them: imported ones keep theirs. */
export const catalogManagers = pgTable(
  "catalog_managers",
  {
    id: text("id").primaryKey(),
    project: project(),
    name: text("name").notNull(),
    url: text("url").notNull(),
    internal: boolean("internal").notNull().default(false),
    active: boolean("active").notNull().default(true),
    authenticationMethod: text("authentication_method").notNull().default(""),
    /** User name and password, or API key. */
    sealed: bytea("sealed"),
    global: boolean("global").notNull().default(false),
    requiredClaims: words("required_claims"),
    ownerId: text("owner_id").references(() => users.id, { onDelete: "set null" }),
    /** Whether its address may lie in a private network. */
    trusted: boolean("trusted").notNull().default(false),
    createdAt: created(),
    updatedAt: updated(),
  },
  (table) => [index("catalog_managers_owner").on(table.ownerId)],
);

export const stores = pgTable(
  "stores",
  {
    id: uuid("id").primaryKey(),
    project: project(),
    name: text("name").notNull(),
    kind: text("kind").$type<StoreKind>().notNull(),
    location: text("location").notNull(),
    /** Credentials, sealed under the master key; null where the provider needs none. */
    sealed: bytea("sealed"),
    isDefault: boolean("is_default").notNull().default(false),
    /** The one that the configuration named at the last start: named again, it takes the default from no other. */
    configured: boolean("configured").notNull().default(false),
    state: text("state").$type<"ready" | "denied" | "unavailable">().notNull().default("ready"),
    /** Nothing is ever written to it: a catalog of somebody else. */
    readOnly: boolean("read_only").notNull().default(false),
    /** What all transfers with it together may take; null for all that it gives. */
    maxBytesPerSecond: bigint("max_bytes_per_second", { mode: "number" }),
    maxRequests: integer("max_requests"),
    createdAt: created(),
  },
  (table) => [uniqueIndex("stores_name").on(table.name), uniqueIndex("stores_location").on(table.location)],
);

export const imageVersions = pgTable(
  "image_versions",
  {
    id: uuid("id").primaryKey(),
    project: project(),
    catalogId: text("catalog_id").notNull(),
    version: text("version").notNull(),
    architecture: text("architecture").$type<Architecture>().notNull(),
    kind: text("kind").$type<"pvm" | "macvm">().notNull(),
    guestOs: text("guest_os"),
    description: text("description").notNull().default(""),
    tags: words("tags"),
    digest: text("digest").notNull(),
    generation: integer("generation").notNull(),
    storeId: uuid("store_id")
      .notNull()
      .references(() => stores.id),
    logicalBytes: bytes("logical_bytes").notNull(),
    allocatedBytes: bytes("allocated_bytes").notNull(),
    storedBytes: bytes("stored_bytes").notNull(),
    newBytes: bytes("new_bytes").notNull(),
    vcpus: integer("vcpus"),
    memoryBytes: bytes("memory_bytes"),
    minimum: jsonb("minimum").$type<{ vcpus: number; memoryBytes: number; diskBytes: number }>(),
    probe: jsonb("probe").$type<Probe>().notNull(),
    requiredRoles: words("required_roles"),
    requiredClaims: words("required_claims"),
    taintedBy: text("tainted_by"),
    taintedAt: time("tainted_at"),
    untaintedBy: text("untainted_by"),
    revokedBy: text("revoked_by"),
    revokedAt: time("revoked_at"),
    /** Since when its store is known not to hold all of it whole, and what is wrong; healing ends both. */
    damagedAt: time("damaged_at"),
    damage: text("damage"),
    downloads: integer("downloads").notNull().default(0),
    lastDownloadedAt: time("last_downloaded_at"),
    lastDownloadedBy: text("last_downloaded_by"),
    createdBy: text("created_by").notNull(),
    createdAt: created(),
    updatedAt: updated(),
  },
  (table) => [
    uniqueIndex("image_versions_key").on(table.project, table.catalogId, table.version, table.architecture),
    index("image_versions_digest").on(table.digest),
  ],
);

/** Objects that nothing living needs, until they are removed. `removingAt`: the removal has begun, and nobody may rely on the object any more. */
export const condemnedObjects = pgTable(
  "condemned_objects",
  {
    storeId: uuid("store_id")
      .notNull()
      .references(() => stores.id, { onDelete: "cascade" }),
    key: text("key").notNull(),
    bytes: bytes("bytes").notNull(),
    condemnedAt: time("condemned_at")
      .notNull()
      .default(sql`clock_timestamp()`),
    removingAt: time("removing_at"),
  },
  (table) => [primaryKey({ columns: [table.storeId, table.key] })],
);

/** Objects of a store that were found broken or missing, until they are whole or nothing needs them. */
export const damagedObjects = pgTable(
  "damaged_objects",
  {
    storeId: uuid("store_id")
      .notNull()
      .references(() => stores.id, { onDelete: "cascade" }),
    key: text("key").notNull(),
    problem: text("problem").notNull(),
    /** Whether only reading shows it: a listing does not find it whole again. */
    content: boolean("content").notNull().default(false),
    /** The trees that need what is broken of it; none where only dead parts of it are. */
    digests: words("digests"),
    foundAt: time("found_at").notNull().defaultNow(),
  },
  (table) => [primaryKey({ columns: [table.storeId, table.key] })],
);

/** How far the care for a store has come. */
export const storeCare = pgTable("store_care", {
  storeId: uuid("store_id")
    .primaryKey()
    .references(() => stores.id, { onDelete: "cascade" }),
  /** As its store.json named it when it was looked at first. */
  identity: uuid("identity"),
  collectedAt: time("collected_at"),
  scrubbedAt: time("scrubbed_at"),
  /** The folder of packs (0 to 255) that the next scrub begins with. */
  scrubNext: integer("scrub_next").notNull().default(0),
});

/** Which versions are kept; the rule without a catalog id is for all that have none of their own. */
export const retentionRules = pgTable(
  "retention_rules",
  {
    id: uuid("id").primaryKey(),
    project: project(),
    catalogId: text("catalog_id").notNull().default(""),
    keepNewest: integer("keep_newest"),
    keepTagged: boolean("keep_tagged").notNull().default(true),
    keepPulledDays: integer("keep_pulled_days"),
    createdBy: text("created_by").notNull(),
    createdAt: created(),
    updatedAt: updated(),
  },
  (table) => [uniqueIndex("retention_rules_catalog").on(table.project, table.catalogId)],
);

/** Versions whose bytes lie in an archive of the Parallels DevOps service; converted ones have no row here any more. */
export const imageArchives = pgTable("image_archives", {
  imageVersionId: uuid("image_version_id")
    .primaryKey()
    .references(() => imageVersions.id, { onDelete: "cascade" }),
  storeId: uuid("store_id")
    .notNull()
    .references(() => stores.id),
  packKey: text("pack_key").notNull(),
  packBytes: bytes("pack_bytes").notNull(),
  md5: text("md5"),
  /** Of all files, as the manifest tells; exact where a push measured it. */
  logicalBytes: bytes("logical_bytes").notNull(),
  exact: boolean("exact").notNull(),
  /** Whether a host has unpacked it, so that the version's digest is that of its tree. Until then another value stands in for it. */
  measured: boolean("measured").notNull().default(false),
  createdAt: created(),
});

/** Archives of versions of ours that were written for that service. */
export const imageExports = pgTable(
  "image_exports",
  {
    imageVersionId: uuid("image_version_id")
      .notNull()
      .references(() => imageVersions.id, { onDelete: "cascade" }),
    storeId: uuid("store_id")
      .notNull()
      .references(() => stores.id, { onDelete: "cascade" }),
    packKey: text("pack_key").notNull(),
    packBytes: bytes("pack_bytes").notNull(),
    md5: text("md5").notNull(),
    /** Of the content that it was written from: a version may be pointed to other content later. */
    digest: text("digest").notNull(),
    createdAt: created(),
  },
  (table) => [primaryKey({ columns: [table.storeId, table.packKey] }), index("image_exports_version").on(table.imageVersionId)],
);

export const hosts = pgTable(
  "hosts",
  {
    id: uuid("id").primaryKey(),
    project: project(),
    name: text("name").notNull(),
    hardwareId: text("hardware_id").notNull(),
    /** The Ed25519 key that the host signs its tokens with, base64url. */
    publicKey: text("public_key").notNull(),
    labels: words("labels"),
    /** Keep away machines that do not bear them. */
    taints: words("taints"),
    enabled: boolean("enabled").notNull().default(true),
    /** By an operator: no new machine is placed here, and everything else goes on. */
    cordoned: boolean("cordoned").notNull().default(false),
    /** The drain under way; its settlement takes this back. */
    draining: uuid("draining"),
    /** Until when a maintenance window keeps new machines away. */
    maintenanceUntil: time("maintenance_until"),
    overcommitCpu: real("overcommit_cpu").notNull().default(1),
    overcommitMemory: real("overcommit_memory").notNull().default(1),
    facts: jsonb("facts").$type<HostFacts>(),
    cached: jsonb("cached").$type<CachedImage[]>().notNull().default([]),
    session: uuid("session"),
    bootId: text("boot_id"),
    sequence: bigint("sequence", { mode: "number" }).notNull().default(0),
    lastReportAt: time("last_report_at"),
    /** By the hub's clock, a moment before its last inventory was gathered: what was done until then is in it. */
    inventoryAfter: time("inventory_after"),
    /** The state that the compare loop told last, so that each change is told once. */
    toldState: text("told_state").$type<HostState>().notNull().default("enrolled"),
    createdAt: created(),
  },
  (table) => [uniqueIndex("hosts_name").on(sql`lower(${table.name})`), uniqueIndex("hosts_hardware").on(table.hardwareId)],
);

/** When hosts take no new machines, again and again: by the calendar and the clock of a time zone. */
export const maintenanceWindows = pgTable(
  "maintenance_windows",
  {
    id: uuid("id").primaryKey(),
    name: text("name").notNull(),
    hostIds: words("host_ids"),
    labels: words("labels"),
    days: words("days"),
    startsAt: text("starts_at").notNull(),
    minutes: integer("minutes").notNull(),
    zone: text("zone").notNull(),
    createdBy: text("created_by").notNull(),
    createdAt: created(),
  },
  (table) => [uniqueIndex("maintenance_windows_name").on(sql`lower(${table.name})`)],
);

/** Whether a host's reverse proxy is wanted; without a row it is. */
export const hostProxies = pgTable("host_proxies", {
  hostId: uuid("host_id")
    .primaryKey()
    .references(() => hosts.id, { onDelete: "cascade" }),
  wanted: boolean("wanted").notNull(),
});

/** An address that a reverse proxy answers at, with its routes in the order in which they are tried. */
export const proxyHosts = pgTable(
  "proxy_hosts",
  {
    id: uuid("id").primaryKey(),
    project: project(),
    hostId: uuid("host_id")
      .notNull()
      .references(() => hosts.id, { onDelete: "cascade" }),
    name: text("name").notNull(),
    host: text("host").notNull(),
    port: integer("port").notNull(),
    /** Certificate and key. */
    sealedTls: bytea("sealed_tls"),
    cors: jsonb("cors").$type<Cors>(),
    httpRoutes: jsonb("http_routes").$type<HttpRoute[]>().notNull(),
    tcpRoute: jsonb("tcp_route").$type<TcpRoute>(),
    createdAt: created(),
    updatedAt: updated(),
  },
  (table) => [uniqueIndex("proxy_hosts_address").on(table.hostId, sql`lower(${table.host})`, table.port)],
);

/** Which images are brought to which hosts before anybody asks, and when. In the name of whoever made the policy. */
export const prefetchPolicies = pgTable(
  "prefetch_policies",
  {
    id: uuid("id").primaryKey(),
    project: project(),
    name: text("name").notNull(),
    image: jsonb("image").$type<{ catalogId: string; version?: string; architecture?: Architecture }>().notNull(),
    hostIds: words("host_ids"),
    labels: words("labels"),
    all: boolean("all_hosts").notNull().default(false),
    on: text("on_what").$type<"publish" | "schedule">().notNull(),
    everySeconds: integer("every_seconds"),
    atOnce: integer("at_once").notNull(),
    holder: jsonb("holder").$type<Holder>().notNull(),
    createdBy: text("created_by").notNull(),
    createdById: text("created_by_id").notNull(),
    /** The content that it brought last: what is published next differs. */
    lastDigest: text("last_digest"),
    lastStartedAt: time("last_started_at"),
    lastOperationId: uuid("last_operation_id"),
    problem: text("problem"),
    createdAt: created(),
  },
  (table) => [uniqueIndex("prefetch_policies_name").on(table.project, sql`lower(${table.name})`)],
);

export const enrolmentTokens = pgTable("enrolment_tokens", {
  /** SHA-256 of the token; the token itself is shown once. */
  hash: text("hash").primaryKey(),
  hostName: text("host_name").notNull(),
  labels: words("labels"),
  createdBy: text("created_by").notNull(),
  expiresAt: time("expires_at").notNull(),
  usedAt: time("used_at"),
});

/** What a host last saw, foreign machines included. Rewritten by each inventory. */
export const observations = pgTable(
  "observations",
  {
    hostId: uuid("host_id")
      .notNull()
      .references(() => hosts.id, { onDelete: "cascade" }),
    machineId: uuid("machine_id").notNull(),
    facts: jsonb("facts").$type<ObservedMachine>().notNull(),
    firstSeenAt: time("first_seen_at").notNull().defaultNow(),
    seenAt: time("seen_at").notNull().defaultNow(),
    /** As what the compare loop told it last, so that each change is told once. */
    toldStanding: text("told_standing").$type<Standing>(),
  },
  (table) => [primaryKey({ columns: [table.hostId, table.machineId] })],
);

export const machines = pgTable(
  "machines",
  {
    id: uuid("id").primaryKey(),
    project: project(),
    name: text("name").notNull(),
    owner: text("owner").notNull(),
    hostId: uuid("host_id").references(() => hosts.id),
    epoch: integer("epoch").notNull().default(1),
    origin: text("origin").$type<"image" | "clone" | "adopted">().notNull(),
    imageVersionId: uuid("image_version_id").references(() => imageVersions.id, { onDelete: "set null" }),
    image: text("image"),
    digest: text("digest"),
    /** The machine whose disks this linked clone stands on. */
    linkedTo: uuid("linked_to"),
    kind: text("kind").$type<"pvm" | "macvm">().notNull(),
    guestOs: text("guest_os"),
    desired: text("desired").$type<DesiredState>().notNull(),
    observed: text("observed").$type<MachineState>().notNull(),
    observedAt: time("observed_at"),
    /** When an operation last wrote what it did to the machine: what was seen before says nothing of it. */
    actedAt: time("acted_at"),
    /** The boot of its host in which it was last as desired: what is otherwise in a later one was not done by anybody. */
    seenBoot: text("seen_boot"),
    /** How it differs from what is wanted where that is neither believed nor repaired. */
    drift: jsonb("drift").$type<Drift[]>().notNull().default([]),
    /** Why it has no host yet; null unless it waits for room. */
    pending: jsonb("pending").$type<Pending>(),
    vcpus: integer("vcpus").notNull(),
    memoryBytes: bytes("memory_bytes").notNull(),
    diskBytes: bytes("disk_bytes").notNull(),
    macAddress: text("mac_address"),
    addresses: words("addresses"),
    bundlePath: text("bundle_path"),
    description: text("description").notNull().default(""),
    labels: jsonb("labels").$type<Record<string, string>>().notNull().default({}),
    /** As its image has them when it is made: its disks hold what the image guards. */
    requiredRoles: words("required_roles"),
    requiredClaims: words("required_claims"),
    expiresAt: time("expires_at"),
    retiredAt: time("retired_at"),
    createdAt: created(),
    updatedAt: updated(),
  },
  (table) => [
    index("machines_pending")
      .on(table.id)
      .where(sql`${table.pending} is not null`),
    uniqueIndex("machines_living_name")
      .on(sql`lower(${table.name})`)
      .where(sql`${table.retiredAt} is null`),
    // Retired machines stay as memory; reports ask for the living ones every 5 s.
    index("machines_host")
      .on(table.hostId)
      .where(sql`${table.retiredAt} is null`),
    // A page of a project's machines, from the newest on, reads the page and no more.
    index("machines_page")
      .on(table.project, table.createdAt, table.id)
      .where(sql`${table.retiredAt} is null`),
    index("machines_expiry")
      .on(table.expiresAt)
      .where(sql`${table.retiredAt} is null`),
    index("machines_linked")
      .on(table.linkedTo)
      .where(sql`${table.retiredAt} is null and ${table.linkedTo} is not null`),
  ],
);

/** What there should be of ready machines; what there is stands in `pooled_machines`. The row goes with its last machine. */
export const pools = pgTable(
  "pools",
  {
    id: uuid("id").primaryKey(),
    project: project(),
    name: text("name").notNull(),
    /** In whose name its machines are made, and with which rights. */
    owner: text("owner").notNull(),
    createdBy: text("created_by").notNull(),
    holder: jsonb("holder").$type<Holder>().notNull(),
    image: jsonb("image").$type<{ catalogId: string; version?: string; architecture?: Architecture }>().notNull(),
    vcpus: integer("vcpus"),
    memoryBytes: bytes("memory_bytes"),
    hostLabels: words("host_labels"),
    labels: jsonb("labels").$type<Record<string, string>>().notNull().default({}),
    minimumIdle: integer("minimum_idle").notNull(),
    maximum: integer("maximum").notNull(),
    leaseSeconds: integer("lease_seconds").notNull(),
    idleState: text("idle_state").$type<IdleState>().notNull(),
    requiredRoles: words("required_roles"),
    requiredClaims: words("required_claims"),
    /** Counts the changes after which its machines are outdated. */
    revision: integer("revision").notNull().default(1),
    revisedAt: time("revised_at").notNull().defaultNow(),
    state: text("state").$type<"ready" | "ending">().notNull().default("ready"),
    /** Whether its leases end with it. */
    endsLeases: boolean("ends_leases").notNull().default(false),
    /** Why no machine could be asked for the last time. */
    refused: jsonb("refused").$type<Refused>(),
    createdAt: created(),
    updatedAt: updated(),
  },
  (table) => [uniqueIndex("pools_name").on(table.project, sql`lower(${table.name})`)],
);

/** The machines of pools, and who leases them. Kept for a day after a machine has ended: its making tells how the next one may go. */
export const pooledMachines = pgTable(
  "pooled_machines",
  {
    machineId: uuid("machine_id")
      .primaryKey()
      .references(() => machines.id, { onDelete: "cascade" }),
    poolId: uuid("pool_id")
      .notNull()
      .references(() => pools.id, { onDelete: "cascade" }),
    /** The pool's, when it was asked for. */
    revision: integer("revision").notNull(),
    leaseId: uuid("lease_id"),
    leasedBy: text("leased_by"),
    leasedById: text("leased_by_id"),
    leasedAt: time("leased_at"),
    /** Its machine has ended, so nobody who looks at the pool needs it. */
    isOver: boolean("is_over").notNull().default(false),
    createdAt: created(),
  },
  (table) => [
    index("pooled_machines_made").on(table.poolId, table.createdAt),
    // Of ten thousand leases a day a handful lives: a lease and each look read those.
    index("pooled_machines_living")
      .on(table.poolId)
      .where(sql`not ${table.isOver}`),
    uniqueIndex("pooled_machines_lease").on(table.leaseId),
  ],
);

/** The choice of a host with its capacity. `runs`: CPU, memory and slot are held too, not only disk. Deleted when released. */
export const placements = pgTable(
  "placements",
  {
    machineId: uuid("machine_id").notNull(),
    epoch: integer("epoch").notNull(),
    hostId: uuid("host_id")
      .notNull()
      .references(() => hosts.id),
    vcpus: integer("vcpus").notNull(),
    memoryBytes: bytes("memory_bytes").notNull(),
    diskBytes: bytes("disk_bytes").notNull(),
    macos: boolean("macos").notNull(),
    runs: boolean("runs").notNull(),
    createdAt: created(),
  },
  (table) => [primaryKey({ columns: [table.machineId, table.epoch] }), index("placements_host").on(table.hostId)],
);

export const operations = pgTable(
  "operations",
  {
    id: uuid("id").primaryKey(),
    project: project(),
    verb: text("verb").$type<Verb>().notNull(),
    state: text("state").$type<OperationState>().notNull().default("pending"),
    subject: text("subject").notNull(),
    actor: text("actor").notNull(),
    actorId: text("actor_id").notNull(),
    hostId: uuid("host_id"),
    machineId: uuid("machine_id"),
    image: text("image"),
    onFault: text("on_fault").$type<OnFault>().notNull(),
    workflowId: text("workflow_id").notNull(),
    /** What was asked, without secrets. */
    input: jsonb("input").$type<Record<string, unknown>>().notNull(),
    /** What was asked and is secret (scripts, environment), sealed under the key ring; dropped when the operation settles. */
    sealed: bytea("sealed"),
    /** The latest attempt that may publish: drawn from `fences`, compared by whatever makes something visible. */
    fence: bigint("fence", { mode: "number" }).notNull().default(0),
    /** Whether its workflow was told that the host is lost, and not yet that it is back. */
    toldLost: boolean("told_lost").notNull().default(false),
    /** Whether the wire's job of it was deleted: the operation stays as memory, its job is shown no more. */
    hidden: boolean("hidden").notNull().default(false),
    /** What an orchestrator that asked for it calls its job: a name for that caller alone. */
    givenJobId: text("given_job_id"),
    fault: jsonb("fault").$type<FaultRecord>(),
    result: jsonb("result").$type<Record<string, unknown>>(),
    requestId: text("request_id"),
    createdAt: created(),
    startedAt: time("started_at"),
    endedAt: time("ended_at"),
  },
  (table) => [
    index("operations_state").on(table.state),
    index("operations_machine").on(table.machineId),
    index("operations_created").on(table.createdAt),
    index("operations_page").on(table.project, table.createdAt, table.id),
    // What the loops look at each second is a handful among all that ended in 90 days.
    index("operations_open")
      .on(table.id)
      .where(sql`${table.state} not in ('done', 'failed', 'cancelled')`),
    uniqueIndex("operations_workflow").on(table.workflowId),
    index("operations_given_job")
      .on(table.actorId, table.givenJobId)
      .where(sql`${table.givenJobId} is not null`),
  ],
);

export const fences = pgSequence("fences");

/** What was asked, until its workflow is known to have started. The sweep starts what a crash left here. */
export const intents = pgTable("intents", {
  operationId: uuid("operation_id")
    .primaryKey()
    .references(() => operations.id, { onDelete: "cascade" }),
  workflowType: text("workflow_type").notNull(),
  workflowInput: jsonb("workflow_input").$type<Record<string, unknown>>().notNull(),
  attempts: integer("attempts").notNull().default(0),
  createdAt: created(),
});

export const steps = pgTable(
  "steps",
  {
    operationId: uuid("operation_id")
      .notNull()
      .references(() => operations.id, { onDelete: "cascade" }),
    name: text("name").notNull(),
    position: integer("position").notNull(),
    state: text("state").$type<StepState>().notNull(),
    attempt: integer("attempt").notNull().default(1),
    /** Fence and line of the last report from a host: older ones are late and change nothing. */
    fence: bigint("fence", { mode: "number" }).notNull().default(0),
    line: bigint("line", { mode: "number" }).notNull().default(0),
    startedAt: time("started_at"),
    endedAt: time("ended_at"),
    progress: jsonb("progress").$type<Progress>(),
    fault: jsonb("fault").$type<FaultRecord>(),
  },
  (table) => [primaryKey({ columns: [table.operationId, table.name] })],
);

export const holds = pgTable(
  "holds",
  {
    kind: text("kind").$type<"machine" | "image" | "store">().notNull(),
    subjectId: text("subject_id").notNull(),
    operationId: uuid("operation_id")
      .notNull()
      .references(() => operations.id, { onDelete: "cascade" }),
    mode: text("mode").$type<HoldMode>().notNull(),
    createdAt: created(),
  },
  (table) => [
    primaryKey({ columns: [table.kind, table.subjectId, table.operationId] }),
    uniqueIndex("holds_exclusive")
      .on(table.kind, table.subjectId)
      .where(sql`${table.mode} = 'exclusive'`),
  ],
);

export const outputs = pgTable(
  "outputs",
  {
    operationId: uuid("operation_id")
      .notNull()
      .references(() => operations.id, { onDelete: "cascade" }),
    fence: bigint("fence", { mode: "number" }).notNull(),
    line: bigint("line", { mode: "number" }).notNull(),
    stream: text("stream").$type<"stdout" | "stderr">().notNull(),
    /** Empty where `sealed` holds it: a script may print what it was given in secret. Rows of older releases are in clear. */
    text: text("text").notNull().default(""),
    sealed: bytea("sealed"),
    /** Of the text. */
    bytes: integer("bytes").notNull().default(0),
  },
  (table) => [primaryKey({ columns: [table.operationId, table.fence, table.line] })],
);

export const idempotencyKeys = pgTable(
  "idempotency_keys",
  {
    caller: text("caller").notNull(),
    route: text("route").notNull(),
    key: text("key").notNull(),
    requestHash: text("request_hash").notNull(),
    operationId: uuid("operation_id").notNull(),
    createdAt: created(),
  },
  (table) => [primaryKey({ columns: [table.caller, table.route, table.key] })],
);

/** `number` is null until the relay has put the committed row in order. */
export const events = pgTable(
  "events",
  {
    id: uuid("id").primaryKey(),
    number: bigint("number", { mode: "number" }),
    type: text("type").notNull(),
    name: text("name").notNull(),
    subjectId: text("subject_id").notNull(),
    operationId: uuid("operation_id"),
    project: project(),
    at: time("at").notNull().defaultNow(),
    body: jsonb("body").$type<Record<string, unknown>>().notNull().default({}),
  },
  (table) => [
    uniqueIndex("events_number").on(table.number),
    index("events_unnumbered")
      .on(table.at)
      .where(sql`${table.number} is null`),
    index("events_operation").on(table.operationId, table.number),
    index("events_at").on(table.at),
  ],
);

/** Who follows events by WebSocket, at whichever API process; a row that its process does not renew is of one that ended. */
export const eventClients = pgTable(
  "event_clients",
  {
    id: uuid("id").primaryKey(),
    userId: text("user_id").notNull(),
    username: text("username").notNull(),
    types: words("types"),
    connectedAt: created(),
    pingedAt: time("pinged_at").notNull().defaultNow(),
    answeredAt: time("answered_at").notNull().defaultNow(),
    seenAt: time("seen_at").notNull().defaultNow(),
    sent: bigint("sent", { mode: "number" }).notNull().default(0),
    waiting: integer("waiting").notNull().default(0),
  },
  (table) => [index("event_clients_seen").on(table.seenAt)],
);

/** Where events are sent, in the name of whoever made the row: what that user may not see is not sent. */
export const webhooks = pgTable(
  "webhooks",
  {
    id: uuid("id").primaryKey(),
    project: project(),
    name: text("name").notNull(),
    kind: text("kind").$type<WebhookKind>().notNull(),
    /** The address as far as it may be shown: paths and queries of webhooks are often secrets. */
    address: text("address").notNull(),
    /** Of e-mail: who gets it. */
    recipients: words("recipients"),
    events: words("events"),
    /** The whole address, the secret that signs, and the one before it. */
    sealed: bytea("sealed").notNull(),
    previousSecretUntil: time("previous_secret_until"),
    enabled: boolean("enabled").notNull().default(true),
    /** Why nothing is sent, or not everything. */
    problem: text("problem"),
    /** The last event that it was looked at for. */
    toldNumber: bigint("told_number", { mode: "number" }).notNull(),
    createdBy: text("created_by").notNull(),
    createdById: text("created_by_id").notNull(),
    createdAt: created(),
    updatedAt: updated(),
  },
  (table) => [uniqueIndex("webhooks_name").on(table.project, sql`lower(${table.name})`)],
);

/** One event for one webhook. `round` counts how often it was asked for; `begun`: the workflow of this round is known to run. */
export const webhookDeliveries = pgTable(
  "webhook_deliveries",
  {
    id: uuid("id").primaryKey(),
    webhookId: uuid("webhook_id")
      .notNull()
      .references(() => webhooks.id, { onDelete: "cascade" }),
    /** Null: a test, which no event caused. */
    eventNumber: bigint("event_number", { mode: "number" }),
    eventName: text("event_name").notNull(),
    /** The event as it is told, the same in every attempt. */
    event: jsonb("event").$type<Record<string, unknown>>().notNull(),
    state: text("state").$type<DeliveryState>().notNull().default("pending"),
    round: integer("round").notNull().default(1),
    begun: boolean("begun").notNull().default(false),
    attempts: integer("attempts").notNull().default(0),
    nextAt: time("next_at"),
    createdAt: created(),
    endedAt: time("ended_at"),
  },
  (table) => [
    uniqueIndex("webhook_deliveries_event").on(table.webhookId, table.eventNumber),
    index("webhook_deliveries_created").on(table.webhookId, table.createdAt),
    index("webhook_deliveries_open")
      .on(table.webhookId, table.begun)
      .where(sql`${table.state} = 'pending'`),
  ],
);

/** What came of each attempt, written once. */
export const webhookAttempts = pgTable(
  "webhook_attempts",
  {
    deliveryId: uuid("delivery_id")
      .notNull()
      .references(() => webhookDeliveries.id, { onDelete: "cascade" }),
    round: integer("round").notNull(),
    attempt: integer("attempt").notNull(),
    at: time("at").notNull().defaultNow(),
    durationMs: integer("duration_ms").notNull(),
    delivered: boolean("delivered").notNull(),
    status: integer("status"),
    problem: text("problem"),
    snippet: text("snippet"),
  },
  (table) => [primaryKey({ columns: [table.deliveryId, table.round, table.attempt] })],
);

export const audit = pgTable(
  "audit",
  {
    id: uuid("id").primaryKey(),
    number: bigint("number", { mode: "number" }),
    at: time("at").notNull().defaultNow(),
    actor: text("actor").notNull(),
    action: text("action").notNull(),
    subject: text("subject").notNull(),
    outcome: text("outcome").$type<"accepted" | "done" | "failed" | "cancelled" | "refused">().notNull(),
    operationId: uuid("operation_id"),
    requestId: text("request_id"),
    /** The address that the request came from. */
    source: text("source"),
    previousHash: text("previous_hash"),
    hash: text("hash"),
  },
  (table) => [
    uniqueIndex("audit_number").on(table.number),
    index("audit_unnumbered")
      .on(table.at)
      .where(sql`${table.number} is null`),
  ],
);
