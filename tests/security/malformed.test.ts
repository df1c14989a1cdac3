/**
 * Malformed requests over all routes: a sample of the ten thousand that `npm run test:long -- malformed` sends, and those that it has found to matter.
 *
 * The seed is printed; DROVER_TEST_SEED repeats a run.
 */
import { expect, it } from "vitest";
import { overTheLine } from "./malformed/line.ts";
import { malformedRequests } from "./malformed/suite.ts";

const requests = malformedRequests();
const sent = (method: string, path: string, headers: [string, string][]) =>
  overTheLine(requests.port(), { name: method, method, path, headers, body: Buffer.alloc(0) }, { token: "none", limitMs: 20_000 });

it("that announce a body where none belongs are answered without waiting for it", async () => {
  for (const method of ["TRACE", "GET", "DELETE"])
    expect(await sent(method, "/api/v1/machines", [["Content-Length", "99999999999"]])).toMatchObject({ hung: false });
});

it.each(["toString", "__proto__", "constructor", "hasOwnProperty"])("for %s, which every object has, find no page", async (name) => {
  expect((await sent("GET", `/docs/${name}`, [])).status).toBe(404);
});

it(`are refused soon, never as a fault of the server, and told nothing of its insides (seed ${requests.seed})`, async () => {
  // Many suites share the computer here; the long test holds it to two seconds.
  const statuses = await requests.mustBeRefused({ count: 400, limitMs: 20_000 });
  expect(statuses.get(400) ?? 0).toBeGreaterThan(40);
}, 300_000);
