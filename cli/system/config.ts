/** `drover config`: every variable with the value in force. */
import { z } from "zod";
import { describeConfig, readConfig } from "../../domain/config/schema.ts";
import { unwrap } from "../../domain/errors.ts";
import type { Context } from "../context.ts";
import { table } from "../output/table.ts";
import { given } from "../values.ts";

const Options = z.object({ explain: z.boolean().default(false) });

export async function config(context: Context, _args: readonly string[], options: unknown): Promise<void> {
  const { explain } = given(Options, options);
  const found = describeConfig(unwrap(readConfig(context.env, context.folder)));
  const words = () =>
    table(
      found,
      [
        { title: "VARIABLE", of: ({ variable }) => variable },
        { title: "VALUE", of: ({ value }) => value },
        { title: "FROM", of: ({ chosen }) => (chosen ? "environment" : "default") },
        ...(explain ? [{ title: "MEANING", of: ({ description }: (typeof found)[number]) => description }] : []),
      ],
      "",
    );
  context.show(found, words);
}
