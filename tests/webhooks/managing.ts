/** What those who manage webhooks can do and see, over the API and on the command line. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { serveApi } from "../../api/serve.ts";
import { runDrover } from "../api/command-line.ts";
import type { Receiver } from "./receiver.ts";
import type { Sender } from "./world.ts";

const ended = ({ state }: { state: string }) => state !== "pending";

export const describeManaging = (given: () => { sender: Sender; receiver: Receiver }) =>
  describe("whoever manages webhooks", () => {
    it("tries one by command and is told what came of it", async () => {
      const { sender, receiver } = given();
      await sender.add({ name: "tried", url: receiver.url("/tried"), events: ["image.*"] });
      const { status, body } = await sender.call("POST", "/api/v2/webhooks/tried/test", { token: sender.root });
      expect(status).toBe(202);
      await sender.send();
      expect(await sender.until("tried", ended)).toMatchObject({
        id: body.id,
        eventNumber: null,
        eventName: "webhook.test",
        state: "delivered",
      });
    });

    it.each([
      [{ name: "x y", url: "http://a" }, /name/],
      [{ name: "x" }, /url/],
      [{ name: "x", url: "ftp://a" }, /https:\/\/ or http:\/\//],
      [{ name: "x", url: "http://u:p@a" }, /user name/],
      [{ name: "x", url: "http://a", events: ["machines.*"] }, /events\.0/],
      [{ name: "x", url: "http://a", events: [] }, /events/],
      [{ name: "x", url: "http://a", secret: "short" }, /secret/],
      [{ name: "x", kind: "email", to: ["nobody"] }, /to\.0/],
      [{ name: "x", kind: "email", url: "http://a", to: ["a@b.co"] }, /url/],
      [{ name: "x", kind: "slack", url: "http://a", secret: "0123456789abcdef" }, /secret/],
    ])("is told what is wrong with %j", async (body, words) => {
      const { sender } = given();
      const refused = await sender.call("POST", "/api/v2/webhooks", { token: sender.root, body });
      expect(refused).toMatchObject({ status: 400, body: { code: "invalid_request", message: expect.stringMatching(words) } });
    });

    it("leaves a record of each change, and no secret in it, in a list, in a log, in a row or in Temporal", async () => {
      const { sender, receiver } = given();
      const body = {
        name: "kept",
        url: receiver.url("/canary-of-the-path?token=canary-of-the-query"),
        secret: "canary-of-the-secret",
        events: ["host.lost"],
      };
      await sender.add(body);
      expect((await sender.call("POST", "/api/v2/webhooks", { token: sender.root, body })).status).toBe(409);
      await sender.call("PATCH", "/api/v2/webhooks/kept", {
        token: sender.root,
        body: { rotateSecret: { secret: "canary-of-the-second" } },
      });
      await sender.tell({ name: "host.lost" });
      await sender.until("kept", ended);
      await sender.call("DELETE", "/api/v2/webhooks/signed", { token: sender.root });
      const rows = await sender.sql`select action, subject from audit where action like 'webhook.%' and subject in ('kept', 'signed')`;
      expect(rows.map(({ action }) => action)).toEqual(expect.arrayContaining(["webhook.added", "webhook.changed", "webhook.removed"]));
      const tables = ["webhooks", "webhook_deliveries", "webhook_attempts", "audit", "events"];
      const kept = await Promise.all(
        tables.map(async (table) => JSON.stringify(await sender.sql`select to_jsonb(t) as row from ${sender.sql(table)} t`)),
      );
      const shown = await sender.call("GET", "/api/v2/webhooks/kept", { token: sender.root });
      expect(shown.body.address).toBe(`http://127.0.0.1:${receiver.port}/***`);
      const histories = [];
      for await (const { workflowId } of sender.control.temporal.workflow.list())
        histories.push(JSON.stringify(await sender.control.temporal.workflow.getHandle(workflowId).fetchHistory()));
      expect(histories.join("")).toContain("deliver");
      for (const text of [...kept, shown.text, sender.lines.join(""), ...histories]) expect(text).not.toMatch(/canary-/);
    });
    it("does all of it on the command line, where no secret is typed", async () => {
      const { sender, receiver } = given();
      const folder = await mkdtemp(join(tmpdir(), "drover-webhook-"));
      const served = await serveApi((request, connection) => sender.app.fetch(request, connection), { host: "127.0.0.1", port: 0 });
      const sending = setInterval(() => void sender.send(), 100);
      const env = { DROVER_URL: `http://127.0.0.1:${served.port}`, DROVER_TOKEN: sender.root };
      const drover = (...args: string[]) => runDrover(["webhook", ...args], { folder, env });
      try {
        await writeFile(join(folder, "url"), `${receiver.url("/canary-cli")}\n`);
        await writeFile(join(folder, "secret"), "canary-cli-secret-0\n");
        const added = await drover("add", "cli", "--url-file", "url", "--secret-file", "secret", "--event", "host.lost");
        expect(added).toMatchObject({ exitCode: 0, out: expect.stringContaining(`http://127.0.0.1:${receiver.port}/***`) });
        expect(await drover("add", "chat-2", "--kind", "slack", "--url", receiver.url())).toMatchObject({ exitCode: 2 });
        const tested = await drover("test", "cli");
        expect(tested).toMatchObject({ exitCode: 0, out: expect.stringMatching(/delivered[\s\S]*1\.1[\s\S]*200/) });
        receiver.answer("/canary-cli", { status: 500, body: "broken" });
        expect(await drover("test", "cli")).toMatchObject({ exitCode: 6, out: expect.stringContaining("It answers with 500.") });
        const [last] = (await drover("deliveries", "cli", "--json")).json();
        expect((await drover("redeliver", last.id)).exitCode).toBe(0);
        expect((await drover("delivery", last.id)).out).toContain("webhook.test");
        expect((await drover("edit", "cli", "--rotate-secret", "--event", "image.*")).out).toMatch(/image\.\*[\s\S]*whsec_/);
        expect((await drover("edit", "cli", "--disable")).out).toMatch(/sends\s+no/);
        const shown = [await drover("list"), await drover("show", "cli"), await drover("show", "cli", "--json")];
        for (const { out, err } of [...shown, added, tested]) expect(out + err).not.toContain("canary");
        expect(await drover("remove", "cli")).toMatchObject({ exitCode: 0 });
        expect(await drover("show", "cli")).toMatchObject({ exitCode: 4 });
      } finally {
        clearInterval(sending);
        await served.close(500);
        await rm(folder, { recursive: true });
      }
    });
  });
