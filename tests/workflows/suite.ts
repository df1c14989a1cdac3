/** A harness for all tests of one file: opened before the first, emptied after each, closed after the last. */
import { afterAll, afterEach, beforeAll, inject } from "vitest";
import { openHarness, type Harness } from "./harness.ts";

export function suiteHarness(): { readonly harness: Harness } {
  let opened: Harness | null = null;
  const harness = (): Harness => {
    if (!opened) throw new Error("The harness opens with the first test.");
    return opened;
  };
  beforeAll(async () => {
    opened = await openHarness(inject("temporalAddress"));
  }, 180_000);
  afterEach(() => opened?.endAll());
  afterAll(() => opened?.close());
  return {
    get harness() {
      return harness();
    },
  };
}
