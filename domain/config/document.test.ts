/** The page about the configuration says what the processes read. */
import { readFile } from "node:fs/promises";
import { expect, it } from "vitest";
import { configDocument } from "./document.ts";

it("is committed as the variables are: run `npm run documents` when this fails", async () => {
  const page = new URL("../../docs/configuration.md", import.meta.url);
  expect(await readFile(page, "utf8")).toBe(configDocument());
});
