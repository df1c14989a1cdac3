/** What came, or would come, of an installation that is moved here: one line per thing, so that nothing is lost in silence. */
import { z } from "zod";

export const movedKinds = [
  "claim",
  "role",
  "user",
  "api key",
  "user configuration",
  "packer template",
  "catalog manager",
  "proxy host",
  "host",
  "image",
  "section",
] as const;
export const Moved = z
  .object({
    kind: z.enum(movedKinds),
    name: z.string(),
    what: z.enum(["added", "kept", "todo", "left"]).meta({
      description:
        "`added`: it is new here. `kept`: it is here already and stays as it is. `todo`: somebody has to do something first. `left`: it is not taken over.",
    }),
    note: z.string(),
  })
  .meta({ id: "Moved" });
export type Moved = z.infer<typeof Moved>;

export const MovingReport = z
  .object({
    dryRun: z.boolean().meta({ description: "Nothing was changed: this is what would come of it." }),
    items: z.array(Moved),
    unknown: z
      .array(z.object({ field: z.string(), count: z.int() }))
      .meta({ description: "Fields that nobody here knows, and how many records have them. They are not taken over." }),
  })
  .meta({ id: "MovingReport", description: "What came of an installation that was moved here." });
export type MovingReport = z.infer<typeof MovingReport>;
