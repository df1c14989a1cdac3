/**
 * The host routes: enrol, report, grants, objects. Nothing else of the hub can be reached here.
 *
 * The one idea: every route but enrolment asks first who speaks; what they may do follows from rows.
 */
import { Hono, type Context } from "hono";
import { bodyLimit } from "hono/body-limit";
import type { Logger } from "pino";
import type { Database } from "../db/connect.ts";
import { enrolHost } from "../db/enrolment.ts";
import { FaultError } from "../domain/errors.ts";
import { PeerRequest } from "../domain/hosts/peers.ts";
import { BatchRequest, EnrolRequest, GrantRequest, Leftovers, Report, type EnrolAnswer } from "../domain/hosts/schema.ts";
import { readEnrolmentToken } from "../security/enrolment-tokens.ts";
import type { Authority } from "../security/authority.ts";
import type { GrantSignatures } from "../security/grant-signatures.ts";
import type { Sealer } from "../security/sealing.ts";
import type { Caller } from "./callers.ts";
import { bodyOf, refusal } from "./http.ts";
import type { GatewayMetrics } from "./metrics.ts";
import { beginBatch } from "./routes/batches.ts";
import { grantHandler } from "./routes/grants.ts";
import { objectHandlers } from "./routes/objects.ts";
import { peerHandler } from "./routes/peers.ts";
import { goodbye, leftovers, reportHandler } from "./routes/reports.ts";
import type { OpenStores } from "./stores.ts";

export interface GatewayOptions {
  readonly db: Database;
  readonly hubId: string;
  readonly log: Logger;
  readonly metrics: GatewayMetrics;
  readonly identify: (authorization: string | undefined) => Promise<Caller>;
  readonly stores: OpenStores;
  readonly signatures: GrantSignatures;
  readonly sealer: Sealer;
  readonly authority: Pick<Authority, "issuePeer">;
  /** What a host is told at enrolment. */
  readonly reach: Pick<EnrolAnswer, "hubId" | "authority" | "grpcAddress" | "namespace">;
}

/** A thousand lines of a report with output. */
const bodyBytes = 16 * 1024 ** 2;
/** An enrolment is two kilobytes, and whoever sends one is not known yet. */
const enrolmentBytes = 64 * 1024;

export function gatewayApp(options: GatewayOptions) {
  const { db, reach, identify } = options;
  const report = reportHandler(options);
  const grants = grantHandler(options);
  const objects = objectHandlers(options);
  const peers = peerHandler(options);
  const callerOf = (c: Context) => identify(c.req.header("authorization"));
  const app = new Hono();
  app.onError((error, c) => refusal(c, error, options));
  app.notFound((c) => refusal(c, new FaultError({ code: "route_not_found", message: `The gateway has no route ${c.req.path}.` }), options));
  // The head of any answer tells our time, by which hosts sign their tokens; this one is for who has none yet.
  app.get("/host/v1/time", (c) => c.body(null, 204));
  app.post("/host/v1/enrol", atMost(enrolmentBytes), async (c) => c.json({ ...(await enrol(db, c)), ...reach }, 201));
  app.post("/host/v1/report", atMost(bodyBytes), async (c) => c.json(await report(await callerOf(c), await bodyOf(c, Report))));
  app.post("/host/v1/grants", atMost(bodyBytes), async (c) =>
    c.json(await grants(await callerOf(c), await bodyOf(c, GrantRequest), c.req.raw.signal)),
  );
  app.post("/host/v1/batches", atMost(bodyBytes), async (c) =>
    c.json(await beginBatch(db, await callerOf(c), await bodyOf(c, BatchRequest))),
  );
  app.post("/host/v1/peers", atMost(enrolmentBytes), async (c) => c.json(await peers(await callerOf(c), await bodyOf(c, PeerRequest))));
  app.post("/host/v1/leftovers", atMost(bodyBytes), async (c) =>
    c.json(await leftovers(db, await callerOf(c), await bodyOf(c, Leftovers))),
  );
  app.delete("/host/v1/session", async (c) => {
    await goodbye(db, await callerOf(c));
    return c.body(null, 204);
  });
  // Hono answers HEAD by the GET route, so both stand in one.
  app.get("/host/v1/objects/*", async (c) => (c.req.method === "HEAD" ? objects.size(c, await callerOf(c)) : objects.read(c)));
  app.put("/host/v1/objects/*", (c) => objects.write(c));
  return app;
}

const atMost = (bytes: number) =>
  bodyLimit({
    maxSize: bytes,
    onError: () => {
      throw new FaultError({ code: "invalid_request", message: `The request has more than ${bytes} bytes.` });
    },
  });

async function enrol(db: Database, c: Context): Promise<{ hostId: string; name: string }> {
  const { token, publicKey, facts, replace } = await bodyOf(c, EnrolRequest);
  const read = readEnrolmentToken(token);
  if (!read) throw new FaultError({ code: "enrolment_refused", message: "This is not an enrolment token." });
  return enrolHost(db, { hash: read.hash, publicKey, facts, replace });
}
