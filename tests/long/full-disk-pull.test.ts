/** Twenty random points at which the disk gets full in the middle of a pull. */
import { describe, it, vi } from "vitest";
import { mayMount, pullOntoFullDisk } from "../images/full-disk.ts";
import { random } from "../images/samples.ts";

vi.setConfig({ testTimeout: 300_000 });

const seed = Number(process.env["DROVER_TEST_SEED"] ?? Date.now() % 2 ** 31);
const next = random(seed);
const points = Array.from({ length: 20 }, () => next() * 0.95);

describe.skipIf(!mayMount)(`a pull onto a disk that gets full (DROVER_TEST_SEED=${seed})`, () => {
  it.each(points)("stops at %d of the image with no_space, shows nothing, and goes on when there is room", pullOntoFullDisk);
});
