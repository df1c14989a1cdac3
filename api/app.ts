/**
 * The whole API as one function of what it needs: the wire, ours, and the pages about both.
 *
 * The one idea: whatever happens to every request stands here, in order; everything else stands at its route.
 */
import { OpenAPIHono } from "@hono/zod-openapi";
import { logins, type Logins } from "./access/login.ts";
import { auditRoutes } from "./access/audit-routes.ts";
import { identityRoutes } from "./access/identity-routes.ts";
import { keyRoutes } from "./access/key-routes.ts";
import { projectRoutes } from "./access/project-routes.ts";
import { providerRoutes } from "./access/provider-routes.ts";
import { accessRoutes } from "./access/routes.ts";
import { ruleRoutes } from "./access/rule-routes.ts";
import { accessWireRoutes } from "./access/wire-routes.ts";
import { templateWireRoutes } from "./builds/wire-templates.ts";
import { managerRoutes } from "./catalog/manager-routes.ts";
import { prefetchRoutes } from "./catalog/prefetch-routes.ts";
import { catalogRoutes } from "./catalog/routes.ts";
import { serviceArchives } from "./catalog/service-archives.ts";
import { throughTransferRoutes } from "./catalog/through-transfers.ts";
import { managerWireRoutes } from "./catalog/wire-managers.ts";
import { manifestWireRoutes } from "./catalog/wire-manifests.ts";
import { throughWireRoutes } from "./catalog/wire-through.ts";
import { catalogWireRoutes } from "./catalog/wire-routes.ts";
import { codecRoutes } from "./codec.ts";
import { documentation } from "./docs.ts";
import { openEvents, type Events } from "./events/open.ts";
import { eventRoutes } from "./events/routes.ts";
import { eventWireRoutes } from "./events/wire-routes.ts";
import { healthRoutes, healthWireRoutes } from "./health.ts";
import { cacheRoutes } from "./hosts/cache-routes.ts";
import { hostRoutes } from "./hosts/routes.ts";
import { cacheWireRoutes } from "./hosts/wire-cache.ts";
import { deployWireRoutes } from "./hosts/wire-deploy.ts";
import { sshWireRoutes } from "./hosts/wire-ssh.ts";
import { toolWireRoutes } from "./hosts/wire-tools.ts";
import { hostWireRoutes } from "./hosts/wire-routes.ts";
import { notFound, onError, rejectInvalid, type ApiEnv } from "./http.ts";
import { logWireRoutes } from "./logs/wire-routes.ts";
import { machineArchive } from "./machines/archive.ts";
import { machineRoutes } from "./machines/routes.ts";
import { unclaimedRoutes } from "./machines/unclaimed.ts";
import { machineWireRoutes } from "./machines/wire-routes.ts";
import { methodsAt } from "./methods.ts";
import { apiMetrics } from "./metrics.ts";
import { admission } from "./middleware/admission.ts";
import { marked } from "./middleware/conditional.ts";
import { crossOrigin } from "./middleware/cross-origin.ts";
import { deadlines } from "./middleware/deadline.ts";
import { asLines } from "./middleware/lines.ts";
import { strangersLimited } from "./middleware/rates.ts";
import { auditRefusals } from "./middleware/refusals.ts";
import { headsEnd, requestLog, withoutZeros } from "./middleware/request.ts";
import { boundedRequest } from "./middleware/sizes.ts";
import { movingRoutes } from "./moving/routes.ts";
import { decisionRoutes } from "./operations/decisions.ts";
import { jobWireRoutes } from "./operations/wire-routes.ts";
import { operationRoutes } from "./operations/routes.ts";
import { transferRoutes } from "./operations/transfer.ts";
import { pathIn, routedPath } from "./paths.ts";
import type { Hub } from "./ports.ts";
import { poolRoutes } from "./pools/routes.ts";
import { rememberingRouter } from "./router.ts";
import { routingWireRoutes } from "./routing/wire-routes.ts";
import { sources } from "./source.ts";
import { webhookRoutes } from "./webhooks/routes.ts";
import { mounting } from "./wire/mount.ts";

export function createApp(hub: Hub): OpenAPIHono<ApiEnv> {
  const { settings, log } = hub;
  const pathOf = ({ url }: Request) => routedPath(pathIn(url), settings.prefix);
  const app = new OpenAPIHono<ApiEnv>({ defaultHook: rejectInvalid, getPath: pathOf, router: rememberingRouter() });
  app.onError(onError);
  const metrics = apiMetrics();
  app.use(admission(settings, metrics), requestLog(log, metrics, sources(settings.proxies)), headsEnd, deadlines);
  // Before the rule for all browsers: the codec answers one origin only, preflights included.
  app.use("/codec/*", boundedRequest, withoutZeros);
  const login = logins(hub);
  app.route("/", codecRoutes(hub, login));
  if (settings.modules.includes("cors")) app.use(crossOrigin(hub));
  const lines = asLines((request, env) => app.fetch(request, env));
  app.use(auditRefusals(hub), strangersLimited(hub), boundedRequest, withoutZeros, lines, marked);

  const { listeners, clients } = openEvents(hub);
  mountWire(app, hub, { login, listeners, clients });
  for (const routes of ownRoutes(hub, { login, listeners, clients })) app.route("/api/v2", routes);
  app.route("/", healthRoutes(hub, metrics));
  app.route("/", documentation(app, settings.version));

  const methods = methodsAt(app);
  app.notFound((c) => {
    const allowed = methods(c.req.path);
    if (allowed.length === 0) return notFound(c, new URL(c.req.url).pathname);
    c.header("Allow", allowed.join(", "));
    return c.req.method === "OPTIONS" ? c.body(null, 204) : c.json({ message: `method ${c.req.method} not allowed`, code: 405 }, 405);
  });
  return app;
}

/** What routes of both families use. */
interface Shared extends Events {
  readonly login: Logins;
}

/** Ours, in the words of Drover. */
const ownRoutes = (hub: Hub, { login, listeners }: Shared) => [
  accessRoutes(hub, login),
  identityRoutes(hub, login),
  providerRoutes(hub),
  ruleRoutes(hub),
  keyRoutes(hub),
  projectRoutes(hub),
  auditRoutes(hub),
  eventRoutes(hub, listeners),
  operationRoutes(hub),
  decisionRoutes(hub),
  transferRoutes(hub),
  catalogRoutes(hub),
  managerRoutes(hub),
  serviceArchives(hub),
  movingRoutes(hub),
  machineRoutes(hub),
  machineArchive(hub),
  unclaimedRoutes(hub),
  poolRoutes(hub),
  cacheRoutes(hub),
  prefetchRoutes(hub),
  hostRoutes(hub),
  webhookRoutes(hub),
];

/** The Parallels DevOps contract, each family under the module that it belongs to. */
function mountWire(app: OpenAPIHono<ApiEnv>, hub: Hub, { login, listeners, clients }: Shared): void {
  accessWireRoutes(hub, mounting(app, hub), login);
  jobWireRoutes(hub, mounting(app, hub));
  eventWireRoutes(hub, mounting(app, hub), listeners, clients);
  healthWireRoutes(hub, mounting(app, hub));
  // Before the catalog, whose first path part may be any catalog id.
  cacheWireRoutes(hub, mounting(app, hub, "host"), mounting(app, hub, "orchestrator"));
  catalogWireRoutes(hub, mounting(app, hub, "catalog"));
  manifestWireRoutes(hub, mounting(app, hub, "catalog"));
  managerWireRoutes(hub, mounting(app, hub, "catalog_manager"));
  throughWireRoutes(hub, mounting(app, hub, "catalog_manager"));
  throughTransferRoutes(hub, mounting(app, hub, "catalog_manager"));
  machineWireRoutes(hub, mounting(app, hub, "host"), mounting(app, hub, "orchestrator"));
  logWireRoutes(hub, mounting(app, hub), mounting(app, hub, "orchestrator"));
  toolWireRoutes(mounting(app, hub));
  sshWireRoutes(hub, mounting(app, hub));
  deployWireRoutes(hub, mounting(app, hub, "orchestrator"));
  templateWireRoutes(hub, mounting(app, hub, "host"));
  hostWireRoutes(hub, mounting(app, hub), mounting(app, hub, "orchestrator"));
  routingWireRoutes(hub, mounting(app, hub, "reverse_proxy"), mounting(app, hub, "orchestrator"));
}
