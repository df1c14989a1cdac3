/**
 * An operator's terminal: types what `docs/operate.md` says, in a shell, with the stack's `drover` and the stock `temporal` on its PATH.
 *
 * The one idea: a command counts only when the page shows it together with what it answers, so the page is followed rather than quoted.
 */
import { spawn } from "node:child_process";
import { chmod, mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { temporalBinary } from "../../deploy/toolchain/temporal.ts";
import type { TestStack } from "../e2e/stack.ts";
import { expectOnPage } from "./page.ts";

export interface Terminal {
  /** Runs one line; fails unless the section shows the line and all that it printed. Answers what it printed. */
  type(section: string, line: string): Promise<string>;
}

export async function openTerminal(stack: TestStack): Promise<Terminal> {
  const bin = join(stack.home, "terminal");
  await mkdir(bin);
  // The page speaks of an embedded stack in `.drover`, beneath where the operator stands.
  await symlink(stack.home, join(bin, ".drover"));
  const program = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));
  const commands = { drover: `"${process.execPath}" "${program}"`, temporal: `"${await temporalBinary()}" --disable-config-file` };
  for (const [name, command] of Object.entries(commands)) {
    await writeFile(join(bin, name), `#!/bin/sh\nexec ${command} "$@"\n`);
    await chmod(join(bin, name), 0o755);
  }
  const env = { ...stack.env, DROVER_CONFIG_DIR: join(stack.home, "config"), PATH: `${bin}:${stack.env["PATH"] ?? ""}` };
  const type = async (section: string, line: string): Promise<string> => {
    const printed = await shell(line, { env, cwd: bin });
    expectOnPage(section, `$ ${line}\n${printed}`);
    return printed;
  };
  return { type };
}

/** Both streams as a person sees them; how it ended is on the page by what it printed. */
function shell(line: string, { env, cwd }: { env: NodeJS.ProcessEnv; cwd: string }): Promise<string> {
  const child = spawn("bash", ["-c", `exec 2>&1; ${line}`], { env, cwd, stdio: ["ignore", "pipe", "inherit"] });
  const parts: Buffer[] = [];
  child.stdout.on("data", (part: Buffer) => parts.push(part));
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", () => resolve(Buffer.concat(parts).toString()));
  });
}
