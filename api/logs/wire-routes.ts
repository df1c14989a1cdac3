/**
 * The wire's logs: what this process wrote last, and what it writes, for super users.
 *
 * The one idea: the lines are those of the process that answers, combed of secrets before they were kept; hosts keep their own logs, which no door leads to.
 */
import { upgradeWebSocket } from "@hono/node-server";
import { stream } from "hono/streaming";
import { WebSocket } from "ws";
import { findHost } from "../../db/hosts.ts";
import { unwrap } from "../../domain/errors.ts";
import { mustStillBe } from "../middleware/authorise.ts";
import { checkEveryMs } from "../middleware/standing.ts";
import type { Hub } from "../ports.ts";
import { asksForWebSocket } from "../web-socket.ts";
import { refusal } from "../wire/errors.ts";
import type { Call, Mount } from "../wire/mount.ts";

const tag = "logs";
const needs = { superUser: true } as const;
/** Shorter than the idle limit of common proxies, which is 60 s. */
const pingEveryMs = 30_000;

export function logWireRoutes(hub: Hub, mount: Mount, orchestrator: Mount): void {
  mount(
    "get",
    "/logs",
    "Read this process's last log lines; `tail` says how many",
    { tag, needs, status: 200, reply: "text" },
    async (call) =>
      call.c.text(
        hub.logs
          .recent(tailOf(call))
          .map((line) => `${line}\n`)
          .join(""),
      ),
  );
  mount(
    "get",
    "/logs/stream",
    "Follow this process's log by WebSocket, or as text; `tail` says how many earlier lines come first",
    { tag, needs, status: 101 },
    async (call) => {
      const earlier = hub.logs.recent(tailOf(call) ?? 0);
      if (!asksForWebSocket(call.c)) return asText(hub, call, earlier);
      return (await upgradeWebSocket(() => frames(hub, call, earlier))(call.c, async () => {})) ?? call.c.body(null, 400);
    },
  );
  for (const path of ["/orchestrator/hosts/{id}/logs", "/orchestrator/hosts/{id}/logs/stream"])
    orchestrator("get", path, "Refused: hosts keep their logs", { tag, needs, status: 200 }, async ({ param }) => {
      const { name } = unwrap(await findHost(hub.db, param("id")));
      throw refusal(400, `The log of ${name} stays on that host, which takes no connections: read it there. GET /logs tells the hub's.`);
    });
}

function tailOf({ query }: Pick<Call<unknown>, "query">): number | undefined {
  const written = query("tail");
  if (written === undefined) return undefined;
  if (/^\d{1,6}$/.test(written)) return Number(written);
  throw refusal(400, "error 400: tail is the number of lines wanted");
}

/** Ends with the reader, with this process, or with the reader's rights. */
async function followed(
  hub: Hub,
  { c }: Pick<Call<unknown>, "c">,
  gone: AbortController,
  tell: (line: string) => Promise<unknown>,
): Promise<void> {
  const signal = AbortSignal.any([gone.signal, hub.closing]);
  const looking = setInterval(() => void mustStillBe(hub, c).catch(() => gone.abort()), checkEveryMs);
  try {
    for await (const line of hub.logs.follow(signal)) await tell(line);
  } finally {
    clearInterval(looking);
  }
}

function asText(hub: Hub, call: Call<unknown>, earlier: readonly string[]): Response {
  call.c.header("Content-Type", "text/plain; charset=utf-8");
  return stream(call.c, async (out) => {
    const gone = new AbortController();
    out.onAbort(() => gone.abort());
    for (const line of earlier) await out.writeln(line);
    await followed(hub, call, gone, (line) => out.writeln(line));
  });
}

/** One frame per line, each sent once the last one is on its way. */
function frames(hub: Hub, call: Call<unknown>, earlier: readonly string[]) {
  const gone = new AbortController();
  return {
    onOpen: (_: unknown, { raw }: { raw?: unknown }) => {
      if (!(raw instanceof WebSocket)) return;
      const send = (line: string) => new Promise<void>((resolve) => raw.send(line, () => resolve()));
      const pinging = setInterval(() => raw.ping(), pingEveryMs);
      void (async () => {
        for (const line of earlier) await send(line);
        await followed(hub, call, gone, send);
      })().finally(() => {
        clearInterval(pinging);
        raw.close(1000);
      });
    },
    onClose: () => gone.abort(),
    onError: () => gone.abort(),
  };
}
