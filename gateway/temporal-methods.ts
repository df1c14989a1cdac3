/**
 * The calls of Temporal that an activity worker makes, as the gateway answers them. What is not here does not exist for hosts.
 *
 * The one idea: each call is rebuilt with our namespace, the caller's own name and a task that the caller itself polled, so nothing that a host
 * sends decides whose work it touches.
 */
import { setTimeout as after } from "node:timers/promises";
import type { Connection } from "@temporalio/client";
import visitor from "@temporalio/common/lib/internal-non-workflow/payload-visitor.js";
import proto from "@temporalio/proto";
import { FaultError } from "../domain/errors.ts";
import { type Caller, nameOf } from "./callers.ts";
import { hideAttributes, type PayloadBorder } from "./payloads.ts";
import { type QueueRules, sessionSilentMs } from "./queues.ts";
import type { TaskTokens } from "./task-tokens.ts";

const service = proto.temporal.api.workflowservice.v1;

export interface FrontOptions {
  readonly connection: Connection;
  readonly namespace: string;
  readonly border: PayloadBorder;
  readonly tokens: TaskTokens;
  readonly rules: QueueRules;
}

export interface Method {
  readonly decode: (bytes: Uint8Array) => unknown;
  readonly encode: (answer: unknown) => Uint8Array;
  readonly run: (request: unknown, caller: Caller, signal: AbortSignal) => Promise<unknown>;
  /** Ends with an empty answer, not an error, when the gateway shuts down. */
  readonly isPoll: boolean;
}

/** A protobuf type as the SDK's package has it. */
interface Type<Shape> {
  decode(bytes: Uint8Array): Shape;
  encode(shape: Shape): { finish(): Uint8Array };
}
interface Described<Request, Answer> {
  readonly request: Type<Request>;
  readonly answer: Type<Answer>;
  readonly isPoll?: boolean;
  run(request: Request, caller: Caller, signal: AbortSignal): Promise<Answer>;
}

/** The table holds methods of many types; each one's own types meet only here. */
function method<Request, Answer>({ request, answer, isPoll = false, run }: Described<Request, Answer>): Method {
  return {
    isPoll,
    decode: (bytes) => request.decode(bytes),
    encode: (value) => answer.encode(value as Answer).finish(),
    run: (value, caller, signal) => run(value as Request, caller, signal),
  };
}

/** By the method's name on the wire. */
export function temporalMethods(options: FrontOptions): Readonly<Record<string, Method>> {
  return { ...worldMethods(options), ...taskMethods(options), PollActivityTaskQueue: pollMethod(options) };
}

function worldMethods({ connection, namespace, rules }: FrontOptions) {
  const upstream = connection.workflowService;
  return {
    GetSystemInfo: method({
      request: service.GetSystemInfoRequest,
      answer: service.GetSystemInfoResponse,
      run: () => upstream.getSystemInfo({}),
    }),
    DescribeNamespace: method({
      request: service.DescribeNamespaceRequest,
      answer: service.DescribeNamespaceResponse,
      run: () => upstream.describeNamespace({ namespace }),
    }),
    RecordWorkerHeartbeat: method({
      request: service.RecordWorkerHeartbeatRequest,
      answer: service.RecordWorkerHeartbeatResponse,
      run: (request, caller) => {
        const workerHeartbeat = (request.workerHeartbeat ?? []).filter(({ taskQueue }) => rules.owns(caller, taskQueue ?? ""));
        return upstream.recordWorkerHeartbeat({ ...request, workerHeartbeat, namespace, identity: nameOf(caller) });
      },
    }),
    ShutdownWorker: method({
      request: service.ShutdownWorkerRequest,
      answer: service.ShutdownWorkerResponse,
      run: async (request, caller) => {
        if (!rules.owns(caller, request.taskQueue ?? "")) return service.ShutdownWorkerResponse.create();
        // A worker without workflows has no sticky queue; a heartbeat that names another queue is left out.
        const { workerHeartbeat, ...rest } = request;
        const own = workerHeartbeat && rules.owns(caller, workerHeartbeat.taskQueue ?? "") ? { workerHeartbeat } : {};
        return upstream.shutdownWorker({ ...rest, ...own, stickyTaskQueue: "", namespace, identity: nameOf(caller) });
      },
    }),
  };
}

function pollMethod({ connection, namespace, border, tokens, rules }: FrontOptions): Method {
  return method({
    request: service.PollActivityTaskQueueRequest,
    answer: service.PollActivityTaskQueueResponse,
    isPoll: true,
    run: async (request, caller, signal) => {
      const name = request.taskQueue?.name ?? "";
      await rules.check(caller, name);
      await turnOf(rules, caller, signal);
      const own = {
        namespace,
        identity: nameOf(caller),
        taskQueue: { name, kind: proto.temporal.api.enums.v1.TaskQueueKind.TASK_QUEUE_KIND_NORMAL },
      };
      // The client below listens for an abort from now on, and would not notice an earlier one.
      signal.throwIfAborted();
      const task = await connection.workflowService.pollActivityTaskQueue({ ...request, ...own, workerControlTaskQueue: "" });
      // No task came: a long poll that ends, or a server that shuts down. An empty token is a list here, not bytes.
      if (!task.taskToken?.length) return task;
      await border.toHost(task, visitor.walkPollActivityTaskQueueResponse);
      task.taskToken = await tokens.bind(nameOf(caller), task.taskToken);
      return task;
    },
  });
}

/** A second process of one host waits until the first has been silent; a poll is a long wait anyway. */
async function turnOf(rules: QueueRules, caller: Caller, signal: AbortSignal): Promise<void> {
  if (caller.kind !== "host") return;
  const deadline = Date.now() + sessionSilentMs;
  while (await rules.isDisplaced(caller)) {
    if (Date.now() > deadline) {
      const message = `Another process of host ${caller.hostId} is alive.`;
      throw new FaultError({ code: "host_duplicate_session", message, subject: caller.hostId });
    }
    // Half a second is soon enough for a process that just took over.
    await after(500, undefined, { signal });
  }
}

function taskMethods({ connection, namespace, border, tokens }: FrontOptions) {
  const upstream = connection.workflowService;
  const own = async (request: { taskToken?: Uint8Array | null }, caller: Caller) => ({
    namespace,
    identity: nameOf(caller),
    taskToken: await tokens.release(nameOf(caller), Uint8Array.from(request.taskToken ?? [])),
  });
  return {
    RecordActivityTaskHeartbeat: method({
      request: service.RecordActivityTaskHeartbeatRequest,
      answer: service.RecordActivityTaskHeartbeatResponse,
      run: async (request, caller) => {
        const mine = await own(request, caller);
        await border.fromHost(request, visitor.walkRecordActivityTaskHeartbeatRequest);
        return upstream.recordActivityTaskHeartbeat({ ...request, ...mine });
      },
    }),
    RespondActivityTaskCompleted: method({
      request: service.RespondActivityTaskCompletedRequest,
      answer: service.RespondActivityTaskCompletedResponse,
      run: async (request, caller) => {
        const mine = await own(request, caller);
        await border.fromHost(request, visitor.walkRespondActivityTaskCompletedRequest);
        return upstream.respondActivityTaskCompleted({ ...request, ...mine });
      },
    }),
    RespondActivityTaskFailed: method({
      request: service.RespondActivityTaskFailedRequest,
      answer: service.RespondActivityTaskFailedResponse,
      run: async (request, caller) => {
        const mine = await own(request, caller);
        if (request.failure) hideAttributes(request.failure);
        await border.fromHost(request, visitor.walkRespondActivityTaskFailedRequest);
        return upstream.respondActivityTaskFailed({ ...request, ...mine });
      },
    }),
    RespondActivityTaskCanceled: method({
      request: service.RespondActivityTaskCanceledRequest,
      answer: service.RespondActivityTaskCanceledResponse,
      run: async (request, caller) => {
        const mine = await own(request, caller);
        await border.fromHost(request, visitor.walkRespondActivityTaskCanceledRequest);
        return upstream.respondActivityTaskCanceled({ ...request, ...mine });
      },
    }),
  };
}
