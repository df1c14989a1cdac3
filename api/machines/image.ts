/** How the wire names an image: an empty version is `latest`, an empty architecture leaves the choice to whoever has one. */
import type { z } from "zod";
import { architectureOf, latest } from "../../domain/catalog/rules.ts";
import type { ImageReference } from "../../domain/catalog/schema.ts";
import { refusal } from "../wire/errors.ts";

export function imageOf({
  catalog_id,
  version,
  architecture,
}: {
  catalog_id: string;
  version: string;
  architecture: string;
}): z.input<typeof ImageReference> {
  if (catalog_id === "") throw refusal(400, "Invalid request body: error 400: missing catalog id");
  const known = architecture === "" ? null : architectureOf(architecture);
  if (architecture !== "" && known === null)
    throw refusal(400, `Invalid request body: error 400: invalid architecture ${architecture.slice(0, 40)}`);
  return {
    catalogId: catalog_id,
    ...(version === "" || version === latest ? {} : { version }),
    ...(known === null ? {} : { architecture: known }),
  };
}
