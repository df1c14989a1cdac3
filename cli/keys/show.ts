/** `drover key show`: ids and ages. */
import type { Context } from "../context.ts";
import { ago } from "../output/format.ts";
import { facts, table } from "../output/table.ts";

export async function showKeys(context: Context): Promise<void> {
  const found = await context.parts.keys().show();
  const { hubId, masterKey, keys } = found;
  const words = () => {
    const head = facts([
      ["hub", hubId],
      ["master key", masterKey.id],
      ["from", masterKey.from],
      ["in force since", masterKey.since === null ? "the hub's first start" : ago(masterKey.since)],
    ]);
    const columns = [
      { title: "PURPOSE", of: ({ purpose }: (typeof keys)[number]) => purpose },
      { title: "ID", of: ({ id }: (typeof keys)[number]) => id },
      { title: "MADE", of: ({ createdAt }: (typeof keys)[number]) => ago(createdAt) },
      { title: "USE", of: ({ current }: (typeof keys)[number]) => (current ? "current" : "reads what it wrote") },
    ];
    return `${head}\n\n${table(keys, columns, "")}`;
  };
  context.show(found, words);
}
