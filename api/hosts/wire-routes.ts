/**
 * The wire's hosts: the orchestrator's list, its sums, and the hardware page of one host.
 *
 * The one idea: hosts enrol themselves by dialling out, so nothing here ever calls a host; what is told is what it last reported.
 */
import { z } from "zod";
import { seenMachines, type SeenMachine } from "../../db/observed.ts";
import { findHost, listHosts, removeHost, updateHost, type HostChanges } from "../../db/hosts.ts";
import { NewEnrolmentToken, type Host } from "../../domain/hosts/schema.ts";
import { unwrap } from "../../domain/errors.ts";
import type { Hub } from "../ports.ts";
import { audited } from "../told.ts";
import { refusal } from "../wire/errors.ts";
import { filtered } from "../wire/filter.ts";
import type { Call, Mount } from "../wire/mount.ts";
import { present } from "../wire/present.ts";
import { mustNameHost, namedHost } from "./scope.ts";
import {
  addUsage,
  CreateEnrollmentTokenRequest,
  CreateEnrollmentTokenResponse,
  DiskSpaceAvailable,
  DiskSpaceAvailableRequest,
  HostResourceOverviewResponse,
  OrchestratorHostResponse,
  OrchestratorHostUpdateRequest,
  ParallelsDesktopLicense,
  SystemUsageResponse,
  usageOf,
  wireDiskSpace,
  ValidateEnrollmentTokenResponse,
  wireHardware,
  wireHost,
  wireLicence,
  wireOverview,
} from "./wire.ts";

export function hostWireRoutes(hub: Hub, always: Mount, orchestrator: Mount): void {
  configRoutes(hub, always);
  fleetRoutes(hub, orchestrator);
  fleetChangeRoutes(hub, orchestrator);
  overviewRoutes(hub, orchestrator);
  enrolmentRoutes(hub, orchestrator);
}

const onHost = (host: Host, machines: readonly SeenMachine[]) => machines.filter((one) => one.host?.id === host.id);

function configRoutes(hub: Hub, mount: Mount): void {
  const { reserved, modules } = hub.settings;
  mount(
    "get",
    "/config/hardware",
    "Get a host's hardware and use",
    { tag: "config", needs: { claims: ["LIST"] }, status: 200, reply: SystemUsageResponse },
    async (call) => {
      const host = await namedHost(hub, call);
      // A hub without hosts, or with several of which none is named, tells of itself, as a pure orchestrator does.
      if (!host)
        return {
          devops_version: hub.settings.version,
          is_reverse_proxy_enabled: false,
          is_log_streaming_enabled: true,
          enabled_modules: [...modules],
        };
      const hardware = wireHardware(host, usageOf(host, await seenMachines(hub.db, { hostId: host.id }), reserved), modules);
      // The log that clients would stream from here is this hub's.
      return { ...hardware, is_log_streaming_enabled: true };
    },
  );
  mount(
    "post",
    "/config/diskspace",
    "Get the free space of a host's disk",
    { tag: "config", needs: {}, status: 200, body: DiskSpaceAvailableRequest, reply: DiskSpaceAvailable },
    async (call) => wireDiskSpace(await mustNameHost(hub, call), call.body.folder_path),
  );
  for (const path of ["/config/parallels-desktop/license", "/parallels_desktop/key"]) {
    mount(
      "get",
      path,
      "Get a host's licence of Parallels Desktop",
      { tag: "config", needs: {}, status: 200, reply: ParallelsDesktopLicense },
      async (call) => wireLicence(await mustNameHost(hub, call)),
    );
  }
}

const tag = "orchestrator hosts";

async function named(hub: Hub, { param }: Pick<Call<unknown>, "param">): Promise<Host> {
  return unwrap(await findHost(hub.db, param("id")));
}

async function shown(hub: Hub, host: Host) {
  const { reserved, modules } = hub.settings;
  return wireHost(host, usageOf(host, await seenMachines(hub.db, { hostId: host.id }), reserved), modules);
}

function fleetRoutes(hub: Hub, mount: Mount): void {
  const { reserved, modules } = hub.settings;
  const list = { claims: ["LIST"] } as const;

  mount(
    "get",
    "/orchestrator/hosts",
    "List hosts",
    { tag, needs: list, status: 200, reply: z.array(OrchestratorHostResponse) },
    async ({ c }) => {
      const machines = await seenMachines(hub.db);
      const hosts = (await listHosts(hub.db)).map((host) => wireHost(host, usageOf(host, onHost(host, machines), reserved), modules));
      return filtered(hosts, c.req.header("X-Filter"));
    },
  );
  mount(
    "get",
    "/orchestrator/hosts/{id}",
    "Get a host by id or name",
    { tag, needs: list, status: 200, reply: OrchestratorHostResponse },
    async (call) => shown(hub, await named(hub, call)),
  );
  mount(
    "get",
    "/orchestrator/hosts/{id}/hardware",
    "Get a host's hardware and use",
    { tag, needs: list, status: 200, reply: SystemUsageResponse },
    async (call) => {
      const host = await named(hub, call);
      return wireHardware(host, usageOf(host, await seenMachines(hub.db, { hostId: host.id }), reserved), modules);
    },
  );
}

const changedHost = (hub: Hub, { asked }: Pick<Call<unknown>, "asked">, { id, name }: Host, changes: HostChanges): Promise<Host> =>
  audited(hub, asked, { action: "host.changed", subject: name }, async (tx) => unwrap(await updateHost(tx, id, changes)));

function fleetChangeRoutes(hub: Hub, mount: Mount): void {
  const update = { claims: ["UPDATE"], hubWide: true } as const;
  mount(
    "put",
    "/orchestrator/hosts/{id}",
    "Change a host's tags",
    { tag, needs: update, status: 201, body: OrchestratorHostUpdateRequest, reply: OrchestratorHostResponse },
    async (call) => {
      const host = await named(hub, call);
      return shown(hub, await changedHost(hub, call, host, { labels: call.body.tags }));
    },
  );
  for (const [verb, enabled] of [
    ["enable", true],
    ["disable", false],
  ] as const) {
    mount(
      "put",
      `/orchestrator/hosts/{id}/${verb}`,
      `${enabled ? "Let a host take" : "Keep a host from"} new work`,
      { tag, needs: update, status: 200, reply: OrchestratorHostResponse },
      async (call) => shown(hub, await changedHost(hub, call, await named(hub, call), { enabled })),
    );
  }
  mount(
    "delete",
    "/orchestrator/hosts/{id}",
    "Remove a host; one that is unknown is gone already",
    { tag, needs: { claims: ["DELETE"], hubWide: true }, status: 202 },
    async ({ asked, param }) => {
      const host = await findHost(hub.db, param("id"));
      if (!host.ok) return;
      const { id, name } = host.value;
      await audited(hub, asked, { action: "host.removed", subject: name }, (tx) => removeHost(tx, id));
    },
  );
  mount(
    "post",
    "/orchestrator/hosts",
    "Refused: hosts enrol themselves",
    { tag, needs: { claims: ["CREATE"], hubWide: true }, status: 201 },
    async () => {
      throw refusal(
        400,
        "Hosts enrol themselves: make a token with POST /orchestrator/enrollment-token and run `drover host enrol <url> <token>` on the Mac",
      );
    },
  );
}

function overviewRoutes(hub: Hub, mount: Mount): void {
  const { reserved } = hub.settings;
  const common = { tag, needs: { claims: ["LIST"] }, status: 202 } as const;
  mount(
    "get",
    "/orchestrator/overview/resources",
    "Sum the resources of all hosts by architecture",
    { ...common, reply: z.array(HostResourceOverviewResponse) },
    async () => {
      const machines = await seenMachines(hub.db);
      const hosts = (await listHosts(hub.db)).filter(({ enabled, facts }) => enabled && facts !== null);
      const byArchitecture = Map.groupBy(hosts, ({ facts }) => facts?.architecture ?? "");
      return [...byArchitecture].map(([architecture, some]) =>
        wireOverview(architecture, some.map((host) => usageOf(host, onHost(host, machines), reserved)).reduce(addUsage)),
      );
    },
  );
  mount(
    "get",
    "/orchestrator/overview/{id}/resources",
    "Get the resources of one host",
    { ...common, reply: HostResourceOverviewResponse },
    async ({ param }) => {
      const host = unwrap(await findHost(hub.db, param("id")));
      return wireOverview(
        host.facts?.architecture ?? "",
        usageOf(host, await seenMachines(hub.db, { hostId: host.id }), reserved),
        host.facts?.cpuModel,
      );
    },
  );
}

/** The contract's own lifetime of a token. */
const defaultMinutes = 15;

function enrolmentRoutes(hub: Hub, mount: Mount): void {
  const tag = "enrolment";
  mount(
    "post",
    "/orchestrator/enrollment-token",
    "Make a token with which a host enrols",
    {
      tag,
      needs: { claims: ["CREATE"], hubWide: true },
      status: 201,
      body: CreateEnrollmentTokenRequest,
      reply: CreateEnrollmentTokenResponse,
    },
    async ({ body, actor }) => {
      if (body.host_name === "") throw refusal(400, "error 400: host_name is required");
      const wanted = NewEnrolmentToken.safeParse({
        hostName: body.host_name,
        ttlSeconds: Math.min(3600, (body.ttl_minutes > 0 ? body.ttl_minutes : defaultMinutes) * 60),
      });
      if (!wanted.success) throw refusal(400, `error 400: ${wanted.error.issues.map(({ message }) => message).join("; ")}`);
      const { token, hostName, expiresAt } = await hub.enrolments.newToken(wanted.data, actor);
      return { token, host_name: hostName, expires_at: expiresAt.toISOString() };
    },
  );
  mount(
    "get",
    "/orchestrator/enrollment-token/{token}/validate",
    "Tell whether a token may still be used",
    { tag, needs: "public", status: 200, reply: ValidateEnrollmentTokenResponse },
    async ({ param }) => {
      const { valid, hostName, expiresAt, reason } = await hub.enrolments.check(param("token"));
      return { valid, ...present({ host_name: hostName, expires_at: expiresAt?.toISOString(), reason }) };
    },
  );
}
