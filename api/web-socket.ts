/**
 * Which requests are to become a WebSocket.
 *
 * The one idea: two headers together ask for it. A request with `Upgrade` alone is a plain one to Node, whose connection nobody can take over.
 */
import type { Context } from "hono";

export const asksForWebSocket = (c: Context): boolean =>
  c.req.header("Upgrade")?.toLowerCase() === "websocket" && /(^|,)\s*upgrade\s*(,|$)/i.test(c.req.header("Connection") ?? "");
