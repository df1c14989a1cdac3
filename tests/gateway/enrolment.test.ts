/** How a computer becomes a host: a token that works once, a name and hardware that are nobody else's. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { enrol } from "../../activities/host/hub-link.ts";
import { findHost } from "../../db/hosts.ts";
import { unwrap } from "../../domain/errors.ts";
import { hostFacts, startHub, type Hub } from "./hub.ts";
import { post } from "./past-link.ts";

let hub: Hub;
beforeAll(async () => void (hub = await startHub()), 60_000);
afterAll(() => hub.stop());

const enrolWith = (token: string, { facts = hostFacts(), replace = false, url = hub.gateway().url } = {}) =>
  enrol({ url, token, facts, replace });

describe("enrolment", () => {
  it("takes a token once", async () => {
    const token = await hub.token("once");
    const identity = await enrolWith(token);
    expect(unwrap(await findHost(hub.db, "ONCE"))).toMatchObject({ id: identity.hostId, state: "enrolled", labels: ["test"] });
    await expect(enrolWith(token)).rejects.toMatchObject({ fault: { code: "enrolment_refused" } });
  });

  it("lets only one of two that use a token at the same moment become a host", async () => {
    const token = await hub.token("race");
    const outcomes = await Promise.allSettled([enrolWith(token), enrolWith(token)]);
    expect(outcomes.map(({ status }) => status).toSorted()).toEqual(["fulfilled", "rejected"]);
  });

  it("refuses a token that expired, that nobody made, or that was made by another hub", async () => {
    const { sha256 } = hub.security.authority;
    const unknown = `${"x".repeat(43)}.${sha256}`;
    const foreign = (await hub.token("foreign")).replace(sha256, "0".repeat(64));
    for (const token of [await hub.token("expired", 0), unknown, foreign, "nonsense"]) {
      await expect(enrolWith(token)).rejects.toMatchObject({ fault: { code: "enrolment_refused" } });
    }
  });

  it("keeps a host's id and changes its key when the same hardware comes with replace, and refuses it without", async () => {
    const facts = hostFacts();
    const first = await hub.enrol("replaced", facts);
    await expect(enrolWith(await hub.token("replaced"), { facts })).rejects.toMatchObject({ fault: { code: "host_exists" } });
    const second = await enrolWith(await hub.token("replaced"), { facts, replace: true });
    expect(second.hostId).toBe(first.hostId);
    await expect(post(hub, first, "/host/v1/report", { lines: [] })).resolves.toMatchObject({ status: 401 });
    await expect(post(hub, second, "/host/v1/report", { lines: [] })).resolves.toMatchObject({ status: 200 });
  });

  it("gives nobody the place of another host, whatever hardware they tell", async () => {
    const facts = hostFacts();
    const victim = await hub.enrol("victim", facts);
    await expect(enrolWith(await hub.token("intruder"), { facts, replace: true })).rejects.toMatchObject({
      fault: { code: "host_exists" },
    });
    await expect(post(hub, victim, "/host/v1/report", { lines: [] })).resolves.toMatchObject({ status: 200 });
  });

  it("tells the second of two that come at once for one name, or from one computer, that it is taken", async () => {
    const facts = hostFacts();
    const [one, two, three, four] = await Promise.all(["same", "same", "this", "that"].map((name) => hub.token(name)));
    const pairs = [
      [enrolWith(one ?? ""), enrolWith(two ?? "")],
      [enrolWith(three ?? "", { facts }), enrolWith(four ?? "", { facts })],
    ];
    for (const outcomes of await Promise.all(pairs.map((pair) => Promise.allSettled(pair)))) {
      const refused = outcomes.filter((outcome) => outcome.status === "rejected");
      expect(refused).toMatchObject([{ reason: { fault: { code: "host_exists" } } }]);
    }
  });

  it("refuses a name that other hardware has, in any case, also with replace", async () => {
    await hub.enrol("taken");
    await expect(enrolWith(await hub.token("TAKEN"), { replace: true })).rejects.toMatchObject({ fault: { code: "host_exists" } });
  });
});
