/** Whether the one who asked for an operation may have the image that it needs: asked again when it counts, since a version may be marked meanwhile. */
import { z } from "zod";
import { imageName, mayPull, maySee } from "../../domain/catalog/rules.ts";
import type { ImageVersion } from "../../domain/catalog/schema.ts";
import { FaultError, unwrap } from "../../domain/errors.ts";
import { Uuid } from "../../domain/ids.ts";

/** Who asked, as kept with the operation. */
export const Holding = z.object({ roles: z.array(z.string()), claims: z.array(z.string()), everything: z.boolean() });
export const Permitted = z.object({ imageVersionId: Uuid, holder: Holding });

export function mustBeAllowed(image: ImageVersion, { holder }: { holder: z.infer<typeof Holding> }): void {
  const name = imageName(image);
  if (!maySee(image, holder)) throw new FaultError({ code: "image_not_found", message: `There is no image ${name}.`, subject: name });
  unwrap(mayPull(image));
}
