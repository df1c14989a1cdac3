/**
 * The API process: binds the routes to the database, Temporal and the keys, and listens.
 *
 * The one idea: it holds no state of its own. Any number of them run side by side, and one that is killed loses nothing that it had answered.
 */
import "../deploy/lifeline.ts";
import { nextAttempts } from "../control/attempts.ts";
import { requestAdopt } from "../control/adopt.ts";
import { requestBring } from "../control/bring.ts";
import { requestPin, requestPrune } from "../control/cache.ts";
import { cancelOperation } from "../control/cancel.ts";
import { requestExport, requestImport } from "../control/archives.ts";
import { requestCheck, requestCollect, requestRetain, requestScrub } from "../control/care.ts";
import { requestPull, requestPush } from "../control/catalog.ts";
import { requestDrain } from "../control/drain.ts";
import { requestLease, requestRelease } from "../control/leases.ts";
import { wakeSoon } from "../control/pools.ts";
import { requestPrefetch } from "../control/prefetch.ts";
import { decideStep } from "../control/decide.ts";
import { requestAction, requestMachine } from "../control/machines.ts";
import { requestMachines } from "../control/many.ts";
import { requestRegister } from "../control/register.ts";
import { requestSend } from "../control/send.ts";
import { requestRetire } from "../control/retire.ts";
import type { Control } from "../control/start.ts";
import { openDatabase, type OpenDatabase } from "../db/connect.ts";
import { findEnrolmentToken, insertEnrolmentToken } from "../db/enrolment.ts";
import { findHost } from "../db/hosts.ts";
import { keyRows } from "../db/keys.ts";
import { migrate } from "../db/migrate.ts";
import { openReads } from "../db/reads.ts";
import type { Config } from "../domain/config/schema.ts";
import { FaultError } from "../domain/errors.ts";
import { sha256Of } from "../security/authority.ts";
import { newEnrolmentToken, readEnrolmentToken } from "../security/enrolment-tokens.ts";
import { foreignTokens } from "../security/foreign-tokens.ts";
import { masterKeySource } from "../security/master-key.ts";
import { openSecurity, type Security } from "../security/open.ts";
import { passwordHasher } from "../security/passwords.ts";
import { runProcess, type Running } from "../workers/process.ts";
import { archiveOf, keptArchive, listArchives } from "../workers/archives.ts";
import { sshRunner } from "../workers/ssh.ts";
import { remoteCatalogs } from "../workers/remote-catalogs.ts";
import { keptStores } from "../workers/kept-stores.ts";
import { connectTemporal, type TemporalClient } from "../workers/temporal.ts";
import { version } from "../workers/version.ts";
import { seedAccess } from "./access/root.ts";
import { createApp } from "./app.ts";
import { openRates } from "./middleware/rates.ts";
import { listenForEvents } from "./notifications.ts";
import type { Enrolments, Hub, Operations, Pools, Settings } from "./ports.ts";
import { serveAsConfigured } from "./serve.ts";

/** Requests in flight may end; longer ones are waits, whose clients ask again. */
const graceMs = 5_000;

export async function runApi({ config, log, logs, signal }: Running): Promise<void> {
  const { url } = config.database;
  if (url === undefined)
    throw new FaultError({ code: "configuration_invalid", message: "DATABASE_URL is not set. The embedded stack sets it by itself." });
  await migrate(url);
  const open = openDatabase(url);
  const masterKey = masterKeySource({ given: config.security.masterKey, next: config.security.masterKeyNext, home: config.home });
  const security = await openSecurity({ masterKey, keys: keyRows(open.db), tokenSecret: config.security.tokenSecret });
  const passwords = passwordHasher();
  const told = await seedAccess({ db: open.db, passwords, password: config.security.rootPassword, home: config.home });
  if (told !== null) log.info({ event: "root.made", file: told }, `The password of root stands in ${told}.`);
  const temporal = await connectTemporal(security.codec);
  const reads = openReads(open);
  const control = controlOf({ config, log }, open, temporal, security);
  const hub: Hub = {
    db: open.db,
    reads,
    rates: openRates(config.api.limits),
    log,
    logs,
    passwords,
    sealer: security.sealer,
    notifications: listenForEvents(url, reads.rights.tell),
    closing: signal,
    signer: security.signer,
    foreign: foreignTokens(),
    transfers: security.transfers,
    codec: security.codec,
    operations: operationsOf(control),
    pools: poolsOf(control),
    enrolments: enrolmentsOf(open, config, security),
    stores: keptStores(control),
    archives: (idOrName, project) => listArchives(control, idOrName, project),
    ssh: sshRunner({ ...config.security.ssh, ...config.security.remotes }),
    archiveOf: (image, how) => archiveOf(control, image, how),
    keptArchive: (image) => keptArchive(control, image),
    archiveRights: security.archives,
    remotes: remoteCatalogs({ db: open.db, sealer: security.sealer, reaching: config.security.remotes }),
    checks: checksOf(open, temporal),
    settings: settingsOf(config, security),
  };
  await warnOfDefaultHost(hub);
  const served = await serveAsConfigured(config.api, createApp(hub).fetch);
  log.info({ event: "api.started", url: config.api.url }, `The API listens at ${config.api.url}.`);
  if (!signal.aborted) await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
  await Promise.all(served.map((one) => one.close(graceMs)));
  await hub.notifications.close();
  await temporal.connection.close();
  await open.close();
}

const controlOf = (
  { config, log }: Pick<Running, "config" | "log">,
  { db }: OpenDatabase,
  { client }: TemporalClient,
  { hubId, sealer }: Security,
): Control => ({
  db,
  temporal: client,
  sealer,
  hubId,
  parkLimitMs: config.parkLimitMs,
  orphanLimitMs: config.orphanLimitMs,
  reserve: config.hosts.reserved,
  log,
});

/** A name that no host has makes half of the wire's routes answer 404, so it is said before anybody asks. */
async function warnOfDefaultHost({ db, log, settings: { defaultHost } }: Hub): Promise<void> {
  if (defaultHost === undefined || defaultHost === "" || (await findHost(db, defaultHost)).ok) return;
  const message = `DROVER_DEFAULT_HOST names ${defaultHost}, but no host of that name has enrolled yet: until then, requests that name no host are answered with 404.`;
  log.warn({ event: "default_host.unknown", host: defaultHost }, message);
}

export const operationsOf = (control: Control): Operations => ({
  push: (wanted, asked) => requestPush(control, wanted, asked),
  pull: (wanted, asked) => requestPull(control, wanted, asked),
  import: (wanted, asked) => requestImport(control, wanted, asked),
  bring: (wanted, asked) => requestBring(control, wanted, asked),
  send: (wanted, asked) => requestSend(control, wanted, asked),
  export: (image, wanted, asked) => requestExport(control, image, wanted, asked),
  drain: (host, wanted, asked) => requestDrain(control, host, wanted, asked),
  prefetch: (wanted, asked) => requestPrefetch(control, wanted, asked),
  prune: (host, wanted, asked) => requestPrune(control, host, wanted, asked),
  pin: (host, wanted, asked) => requestPin(control, host, wanted, asked),
  provision: (wanted, asked) => requestMachine(control, wanted, asked),
  provisionMany: (wanted, asked) => requestMachines(control, wanted, asked),
  act: (machine, action, asked) => requestAction(control, machine, action, asked),
  retire: (machine, options, asked) => requestRetire(control, machine, options, asked),
  register: (wanted, asked) => requestRegister(control, wanted, asked),
  adopt: (id, wanted, asked) => requestAdopt(control, id, wanted, asked),
  collect: (store, wanted, asked) => requestCollect(control, store, wanted, asked),
  check: (store, wanted, asked) => requestCheck(control, store, wanted, asked),
  scrub: (store, wanted, asked) => requestScrub(control, store, wanted, asked),
  retain: (wanted, asked) => requestRetain(control, wanted, asked),
  cancel: (id, asked) => cancelOperation(control, id, asked),
  decide: (id, word, asked) => decideStep(control, id, word, asked),
  nextAttempt: nextAttempts(control),
});

export const poolsOf = (control: Control): Pools => ({
  lease: (pool, wanted, asked) => requestLease(control, pool, wanted, asked),
  release: (pool, lease, asked) => requestRelease(control, pool, lease, asked),
  wake: (pool) => wakeSoon(control, pool),
});

const gatewayUrl = ({ gateway }: Config): string => `https://${gateway.publicHosts[0] ?? "localhost"}:${gateway.port}`;

function enrolmentsOf({ db }: OpenDatabase, config: Config, { authority }: Security): Enrolments {
  const authoritySha256 = sha256Of(authority.certificate);
  return {
    newToken: async (wanted, actor) => {
      const { token, hash } = newEnrolmentToken(authoritySha256);
      const expiresAt = await insertEnrolmentToken(db, { hash, createdBy: actor.username, ...wanted });
      return { token, hostName: wanted.hostName, expiresAt, url: gatewayUrl(config), authoritySha256 };
    },
    check: async (token) => {
      const read = readEnrolmentToken(token);
      const found = read && (await findEnrolmentToken(db, read.hash));
      if (!found) return { valid: false, reason: "error 404: enrollment token not found" };
      if (found.state === "valid") return { valid: true, hostName: found.hostName, expiresAt: found.expiresAt };
      return { valid: false, reason: `error 401: enrollment token has ${found.state === "used" ? "already been used" : "expired"}` };
    },
  };
}

const checksOf = ({ sql }: OpenDatabase, { connection }: TemporalClient): Hub["checks"] => ({
  database: async () => ((await sql`select 1`).length === 1 ? null : "does not answer"),
  temporal: async () => {
    await connection.workflowService.getSystemInfo({});
    return null;
  },
});

function settingsOf(config: Config, { hubId, authority }: Security): Settings {
  const { api, security, hosts, temporal, gateway } = config;
  return {
    prefix: api.prefix,
    modules: api.modules,
    cors: api.cors,
    version,
    passwords: security.passwords,
    guard: security.bruteForce,
    limits: api.limits,
    proxies: api.proxies,
    tokenLifetimeMs: security.tokenLifetimeMs,
    loginLimitMs: security.loginLimitMs,
    defaultHost: hosts.defaultHost,
    reserved: hosts.reserved,
    temporalUi: { url: temporal.uiUrl, namespace: temporal.namespace },
    gateway: {
      url: gatewayUrl(config),
      grpcAddress: `${gateway.publicHosts[0] ?? "localhost"}:${gateway.grpcPort}`,
      namespace: temporal.namespace,
      hubId,
      authority: authority.certificate,
    },
    codec: { path: security.codecPath ?? null, origin: temporal.uiUrl === undefined ? null : new URL(temporal.uiUrl).origin },
  };
}

if (import.meta.main) await runProcess("api", runApi);
