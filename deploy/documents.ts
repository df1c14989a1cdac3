/** Writes the pages of `docs/` that follow from the code. */
import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { configDocument } from "../domain/config/document.ts";

await writeFile(fileURLToPath(new URL("../docs/configuration.md", import.meta.url)), configDocument());
