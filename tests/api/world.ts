/**
 * The API over a real hub: its own database, real keys, a real Temporal server on which nothing polls, so what a request starts stays where it is until
 * the test ends it as its workflow would.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createApp } from "../../api/app.ts";
import { seedAccess } from "../../api/access/root.ts";
import { operationsOf, poolsOf } from "../../api/main.ts";
import { listenForEvents } from "../../api/notifications.ts";
import { openRates, type RateSettings } from "../../api/middleware/rates.ts";
import type { Hub, Settings } from "../../api/ports.ts";
import { openReads } from "../../db/reads.ts";
import { numberEvents } from "../../db/events.ts";
import { listOperations } from "../../db/operations.ts";
import { settleOperation, type Settlement } from "../../db/settlement.ts";
import { modules } from "../../domain/config/modules.ts";
import { refuse } from "../../domain/errors.ts";
import type { Verb } from "../../domain/operations/rules.ts";
import { foreignTokens } from "../../security/foreign-tokens.ts";
import { passwordHasher } from "../../security/passwords.ts";
import { archiveOf, keptArchive } from "../../workers/archives.ts";
import { sshRunner } from "../../workers/ssh.ts";
import { remoteCatalogs } from "../../workers/remote-catalogs.ts";
import { openLog } from "../../workers/log.ts";
import { keepingLines } from "../../workers/recent-lines.ts";
import { openHub } from "../control/hub.ts";

export const rootPassword = "Correct-horse-9!";

export async function openWorld({ rates, ...more }: Partial<Settings> & { rates?: Partial<RateSettings> } = {}) {
  const base = await openHub();
  const home = await mkdtemp(join(tmpdir(), "drover-api-"));
  const { db } = base.control;
  const passwords = passwordHasher();
  await seedAccess({ db, passwords, password: rootPassword, home });
  const closing = new AbortController();
  const lines: string[] = [];
  const kept = keepingLines({ write: (line) => void lines.push(line) });
  const reads = openReads({ db, sql: base.sql });
  const notifications = listenForEvents(base.url, reads.rights.tell);
  const hub: Hub = {
    db,
    reads,
    rates: openRates({ callerPerMinute: 0, sourcePerMinute: 0, callerAtOnce: 1000, ...rates }),
    log: openLog("api", "info", kept.to),
    logs: kept.lines,
    passwords,
    sealer: base.control.sealer,
    notifications,
    closing: closing.signal,
    signer: base.signer,
    foreign: foreignTokens(),
    transfers: base.transfers,
    codec: base.codec,
    operations: operationsOf(base.control),
    pools: poolsOf(base.control),
    enrolments: {
      newToken: async ({ hostName }) => ({
        token: "t",
        hostName,
        expiresAt: new Date(),
        url: "https://localhost:1",
        authoritySha256: "0".repeat(64),
      }),
      check: async () => ({ valid: false, reason: "error 404: enrollment token not found" }),
    },
    stores: {
      add: async () => refuse({ code: "store_invalid", message: "No store is added here." }),
      change: async () => refuse({ code: "store_invalid", message: "No store is changed here." }),
      makeDefault: async () => refuse({ code: "store_invalid", message: "No store is changed here." }),
      remove: async () => refuse({ code: "store_invalid", message: "No store is removed here." }),
      test: async () => (async function* () {})(),
    },
    archives: async (store) => refuse({ code: "store_not_found", message: `There is no store ${store}.` }),
    ssh: sshRunner({ knownHosts: join(home, "known_hosts"), insecure: true, allowed: ["127.0.0.1"], unchecked: false }),
    archiveOf: (image, how) => archiveOf(base.control, image, how),
    keptArchive: (image) => keptArchive(base.control, image),
    archiveRights: base.archives,
    remotes: remoteCatalogs({ db, sealer: base.control.sealer, reaching: { allowed: ["127.0.0.1"], unchecked: false } }),
    checks: { database: async () => ((await base.sql`select 1`).length === 1 ? null : "does not answer") },
    settings: {
      prefix: "/api",
      modules,
      cors: { origins: ["*"], methods: ["GET", "POST", "PUT", "PATCH", "DELETE"], headers: [] },
      passwords: { minimumLength: 12, maximumLength: 40, lowercase: true, uppercase: true, number: true, special: true },
      // A test shares its event loop with what it tests.
      limits: { mostOpen: 1000, mostDelayMs: 60_000 },
      proxies: { trusted: [], header: "x-forwarded-for" },
      guard: { attempts: 5, lockoutMs: 5000, incremental: true },
      tokenLifetimeMs: 900_000,
      loginLimitMs: 43_200_000,
      defaultHost: undefined,
      reserved: base.control.reserve,
      temporalUi: { url: "http://127.0.0.1:8233", namespace: base.namespace },
      gateway: {
        url: "https://localhost:3443",
        grpcAddress: "localhost:3444",
        namespace: base.namespace,
        hubId: base.control.hubId,
        authority: "PEM",
      },
      codec: { path: "an-unguessable-path", origin: "http://127.0.0.1:8233" },
      version: "0.0.0",
      ...more,
    },
  };
  const app = createApp(hub);
  const call = async (method: string, path: string, { token, body, headers = {} }: Sent = {}): Promise<Answer> => {
    const sent = typeof body === "string" ? body : body === undefined ? undefined : JSON.stringify(body);
    const all = {
      ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
      ...(sent === undefined ? {} : { "Content-Type": "application/json" }),
      ...headers,
    };
    const response = await app.request(path, { method, headers: all, ...(sent === undefined ? {} : { body: sent }) });
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      text,
      body: text === "" || !/[/+]json\b/.test(response.headers.get("Content-Type") ?? "") ? text : JSON.parse(text),
    };
  };
  const login = async (email: string, password: string): Promise<string> => {
    const { body } = await call("POST", "/api/v1/auth/token", { body: { email, password } });
    if (typeof body.token !== "string") throw new Error(`${email} cannot log in: ${JSON.stringify(body)}`);
    return body.token;
  };
  /** Ends the newest operation of the verb as soon as there is one, as its workflow would. */
  const settle = async (verb: Verb, ending: Partial<Settlement> = {}): Promise<string> => {
    for (;;) {
      const { items } = await listOperations(db, { verb }, { limit: 1 });
      const [one] = items.filter(({ state }) => state === "running");
      if (one && (await settleOperation(db, { operationId: one.id, steps: [], outcome: "done", ...ending }))) return one.id;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  };
  const relay = () => numberEvents(db, 1000);
  const close = async () => {
    closing.abort();
    await notifications.close();
    await base.close();
    await rm(home, { recursive: true, force: true });
  };
  return { ...base, home, hub, app, call, login, settle, relay, lines, close };
}
export type World = Awaited<ReturnType<typeof openWorld>>;

interface Sent {
  readonly token?: string | undefined;
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
}
interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // An answer is whatever the test says it is; its shape is what the test is about.
  readonly body: ReturnType<typeof JSON.parse>;
}
