/** Callers without credentials behind one proxy: who pays for whom, and who cannot choose. */
import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { createApp } from "../../api/app.ts";
import { openRates } from "../../api/middleware/rates.ts";
import { serveApi } from "../../api/serve.ts";
import { chainAudit, proveAudit } from "../../db/audit.ts";
import { countTry, guessKey } from "../../db/guesses.ts";
import type { World } from "./world.ts";

export function describeStrangers(world: () => World): void {
  describe("strangers behind one proxy", () => {
    const trusted = ["127.0.0.0/8"];
    /** The same hub on a port of its own, as `trusted` proxies see it: they add the client's address to whatever it sent. */
    const behind = async (networks: string[], work: (ask: Ask) => Promise<void>) => {
      const settings = { ...world().hub.settings, proxies: { trusted: networks, header: "x-forwarded-for" as const } };
      const app = createApp({ ...world().hub, settings, rates: openRates({ callerPerMinute: 0, sourcePerMinute: 2, callerAtOnce: 1000 }) });
      const served = await serveApi((request, connection) => app.fetch(request, connection), { host: "127.0.0.1", port: 0 });
      const ask: Ask = (from, path, { method = "GET", headers = {}, body } = {}) =>
        fetch(`http://127.0.0.1:${served.port}${path}`, {
          method,
          headers: { "X-Forwarded-For": from, "Content-Type": "application/json", ...headers },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        });
      await work(ask).finally(() => served.close(0));
    };
    type Ask = (
      from: string,
      path: string,
      sent?: { method?: string; headers?: Record<string, string>; body?: unknown },
    ) => Promise<Response>;
    const statuses = async (ask: Ask, ...from: string[]) => {
      const told = [];
      for (const one of from) told.push((await ask(one, "/api/v2/whoami")).status);
      return told;
    };

    it("have a bucket each, and none of them chooses its own", () =>
      behind(trusted, async (ask) => {
        const [one, other] = ["203.0.113.1", "203.0.113.2"];
        expect(await statuses(ask, one, one, one)).toEqual([401, 401, 429]);
        expect(await statuses(ask, other, other, other)).toEqual([401, 401, 429]);
        expect(await statuses(ask, `198.51.100.1, ${one}`, `127.0.0.1, ${one}`)).toEqual([429, 429]);
      }));

    it("are one where the proxy is not trusted, whatever it says", () =>
      behind(["192.0.2.0/24"], async (ask) => {
        expect(await statuses(ask, "203.0.113.1", "203.0.113.2", "203.0.113.3")).toEqual([401, 401, 429]);
      }));

    it("of one /64 of version 6 are one, to the rates and to the guard of logins", () =>
      behind(trusted, async (ask) => {
        expect(await statuses(ask, "2001:db8:1:1::1", "2001:db8:1:1:a:b:c:d", "2001:DB8:1:1::2")).toEqual([401, 401, 429]);
        expect(await statuses(ask, "2001:db8:1:2::1", "::ffff:203.0.113.9")).toEqual([401, 401]);
        const account = `nobody-${randomUUID()}`;
        for (let tries = 0; tries < 9; tries++)
          await countTry(world().hub.db, guessKey(account, "2001:db8:1:3::/64"), world().hub.settings.guard);
        const body = { email: account, password: "Wrong-horse-1!" };
        const guess = (from: string) => ask(from, "/api/v1/auth/token", { method: "POST", body }).then(({ status }) => status);
        expect([await guess("2001:db8:1:3::7"), await guess("2001:db8:1:4::7")]).toEqual([429, 401]);
      }));

    it("are kept apart by the guard of logins, the log and the audit", () =>
      behind(trusted, async (ask) => {
        const account = `nobody-${randomUUID()}`;
        const guess = (from: string) =>
          ask(from, "/api/v1/auth/token", { method: "POST", body: { email: account, password: "Wrong-horse-1!" } }).then(
            ({ status }) => status,
          );
        // Each guess from a stranger's own bucket of rates; the guard counts them all for one address.
        const lock = guessKey(account, "203.0.113.3");
        for (let tries = 0; tries < 9; tries++) await countTry(world().hub.db, lock, world().hub.settings.guard);
        expect(await guess("198.51.100.1, 203.0.113.3")).toBe(429);
        expect(await guess("203.0.113.4")).toBe(401);

        const requestId = randomUUID();
        const refused = await ask("198.51.100.1, 203.0.113.5", "/api/v2/machines", {
          method: "POST",
          headers: { "X-Request-Id": requestId },
        });
        expect(refused.status).toBe(401);
        await expect.poll(() => world().lines.join(""), { timeout: 60_000 }).toContain(requestId);
        const line = world().lines.find((text) => text.includes(requestId)) ?? "{}";
        expect(JSON.parse(line)).toMatchObject({ event: "request", source: "203.0.113.5" });
        const recorded = await world().sql`select source from audit where request_id = ${requestId}`;
        expect(recorded.map(({ source }) => source)).toEqual(["203.0.113.5"]);
      }));

    it("cannot be exchanged in the audit unseen", async () => {
      const { db } = world().hub;
      while ((await chainAudit(db, 1000)) > 0);
      expect((await proveAudit(db)).broken).toBeNull();
      const [edited] = await world().sql`update audit set source = '198.51.100.1' where source = '203.0.113.5' returning number::int`;
      expect((await proveAudit(db)).broken).toBe(edited?.["number"]);
    });
  });
}
