/**
 * Logging in to the codec from a browser, for super users of the Temporal web UI.
 *
 * The one idea: the cookie opens nothing but the codec. It is sealed by us and no token of the API, goes to `/codec` alone, is sent by no foreign site, and
 * counts only in requests that the web UI's own page makes.
 */
import type { OpenAPIHono } from "@hono/zod-openapi";
import type { Context } from "hono";
import { deleteCookie, getCookie, setCookie } from "hono/cookie";
import { z } from "zod";
import { findUser, type UserRow } from "../db/users.ts";
import { FaultError, kindOf, type Fault } from "../domain/errors.ts";
import type { Logins } from "./access/login.ts";
import type { ApiEnv } from "./http.ts";
import type { Hub } from "./ports.ts";

const cookie = "drover_codec";
const path = "/codec";
const context = "codec session";
/** A working day: whoever looks into workflows in the morning does so in the evening. */
const lifetimeMs = 10 * 3_600_000;

const Session = z.object({ userId: z.string(), until: z.number() });
const Form = z.object({ username: z.string().min(1).max(256), password: z.string().min(1).max(1024) });

export function sessionRoutes(hub: Hub, login: Logins, routes: OpenAPIHono<ApiEnv>): void {
  routes.get("/codec/session", (c) => page(c, "Log in to read what workflows and activities say to each other."));
  routes.post("/codec/session", async (c) => {
    mustBeOwnPage(c);
    const form = Form.safeParse(await c.req.parseBody());
    if (!form.success) return page(c, "Give a name and a password.", 400);
    const { username, password } = form.data;
    const known = await login.byPassword(username, password, c.var.source);
    if (!known.ok) return refused(c, known.fault);
    if (!known.value.user.isSuperUser) return refused(c, { code: "forbidden", message: "Only super users may decode." });
    setCookie(c, cookie, await sessionOf(hub, known.value.user), {
      path,
      httpOnly: true,
      sameSite: "Strict",
      secure: isSecure(c),
      maxAge: lifetimeMs / 1000,
    });
    return page(c, `${known.value.user.username} is logged in: the Temporal web UI decodes from now on.`);
  });
  routes.post("/codec/session/end", (c) => {
    mustBeOwnPage(c);
    deleteCookie(c, cookie, { path });
    return page(c, "You are logged out.");
  });
}

async function sessionOf({ sealer }: Hub, { id }: UserRow): Promise<string> {
  const sealed = await sealer.seal({ userId: id, until: Date.now() + lifetimeMs }, context);
  return Buffer.from(sealed).toString("base64url");
}

/** Whether a page of the web UI asks on behalf of somebody who is logged in and still a super user. */
export async function hasSession({ db, sealer, settings }: Hub, c: Context<ApiEnv>): Promise<boolean> {
  const sent = getCookie(c, cookie);
  if (sent === undefined || settings.codec.origin === null || c.req.header("Origin") !== settings.codec.origin) return false;
  const opened = await sealer.open<unknown>(Buffer.from(sent, "base64url"), context).catch(() => null);
  const session = Session.safeParse(opened).data;
  if (!session || session.until < Date.now()) return false;
  return (await findUser(db, session.userId))?.isSuperUser === true;
}

/** A form on another site could log its visitor in as somebody else. */
function mustBeOwnPage(c: Context<ApiEnv>): void {
  const origin = c.req.header("Origin");
  const host = origin === undefined || !URL.canParse(origin) ? null : new URL(origin).host;
  if (host === null || host !== (c.req.header("Host") ?? new URL(c.req.url).host))
    throw new FaultError({ code: "forbidden", message: "The codec's login is sent by its own page only." });
}

/** Behind a proxy that ends TLS the address is plain. */
const isSecure = (c: Context<ApiEnv>): boolean =>
  new URL(c.req.url).protocol === "https:" || c.req.header("X-Forwarded-Proto")?.toLowerCase() === "https";

function refused(c: Context<ApiEnv>, { code, message }: Fault): Response | Promise<Response> {
  const { status } = kindOf(code);
  return page(c, message, status === 429 ? 429 : status === 401 ? 401 : 403);
}

type Status = 200 | 400 | 401 | 403 | 429;
function page(c: Context<ApiEnv>, sentence: string, status: Status = 200): Response | Promise<Response> {
  c.header("Content-Security-Policy", "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'");
  c.header("Cache-Control", "no-store");
  const text = sentence.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
  return c.html(
    `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Drover: decoding for the Temporal web UI</title></head>
<body>
<h1>Decoding for the Temporal web UI</h1>
<p>${text}</p>
<form method="post" action="/codec/session">
<p><label>Name <input name="username" autocomplete="username" required></label></p>
<p><label>Password <input name="password" type="password" autocomplete="current-password" required></label></p>
<p><button>Log in</button> <button formaction="/codec/session/end" formnovalidate>Log out</button></p>
</form>
</body>
</html>`,
    status,
  );
}
