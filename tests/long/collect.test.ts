/** Collections under fifty kills, and four hundred flipped bits: nothing living is lost, every flip is found, none is served. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { flipBits } from "../care/flips.ts";
import { killCollections } from "../care/victims.ts";
import { openHub, type Hub } from "../control/hub.ts";

const seed = Number(process.env["DROVER_TEST_SEED"] ?? Math.floor(Math.random() * 1e9));
let hub: Hub;
beforeAll(async () => {
  hub = await openHub();
}, 60_000);
afterAll(() => hub?.close());

const kills = 50;

it(`loses nothing living, leaves nothing dead and sends nothing again that had come, under ${kills} kills`, async () => {
  const { killed, lost, left, again, sentBytes } = await killCollections(hub, seed, kills);
  process.stdout.write(
    `${killed} of ${kills} collections were killed before their end, all sent ${sentBytes} bytes of packs, seed ${seed}\n`,
  );
  expect({ lost, left, again }, `seed ${seed}`).toEqual({ lost: [], left: 0, again: [] });
  expect(killed).toBeGreaterThan(kills / 2);
});

it("finds four hundred flipped bits wherever they are, and serves none", async () => {
  const { flips, missed, served, byKind } = await flipBits(seed, 400);
  process.stdout.write(`${flips} flips, seed ${seed}: ${JSON.stringify(byKind)}\n`);
  expect({ missed, served }, `seed ${seed}`).toEqual({ missed: [], served: [] });
});
