/** The configuration as a page for people, from the table that the processes read: the two cannot differ. */
import { describeConfig, readConfig } from "./schema.ts";
import { unwrap } from "../errors.ts";
import { aboutVariable } from "./variables.ts";

/** Markdown: one row per variable with its default. */
export function configDocument(): string {
  const rows = describeConfig(unwrap(readConfig({}))).map(
    ({ variable, value, description }) =>
      `| \`${variable}\`${aboutVariable(variable).secret === true ? " *" : ""} | ${value === "" ? "" : `\`${value}\``} | ${description.replaceAll("|", "\\|")} |`,
  );
  return `# Configuration

Every process reads its configuration from environment variables, once, at its start. All mistakes are told together. \`drover config\` shows what is in force,
secrets masked. An empty variable counts as one that is not set; relative folders are taken from the folder in which the process starts.

A secret (marked with *) may lie in a file instead: \`DROVER_MASTER_KEY_FILE=/run/secrets/master-key\` does what \`DROVER_MASTER_KEY\` would with what the file
holds. The end of its last line does not count; a file that cannot be read, or is empty, is a mistake.

| variable | default | meaning |
| --- | --- | --- |
${rows.join("\n")}
`;
}
