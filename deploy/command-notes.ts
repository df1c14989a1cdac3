/**
 * The commands that a host process runs now, noted on its disk, so that its next life ends what a kill left running.
 *
 * The one idea: nobody works beside a command whose caller is gone. A note is there before the command can have come far, and goes with its end.
 */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { endOrphan } from "./processes.ts";

/** Called with a command that leads a process group; what it answers is called when that has ended. */
export type NoteCommand = (pid: number, argv: readonly string[]) => () => void;

export function commandNotes(folder: string): NoteCommand {
  mkdirSync(folder, { recursive: true });
  return (pid, argv) => {
    const path = join(folder, String(pid));
    try {
      writeFileSync(path, argv.join(" "));
    } catch {
      // A full disk must not keep a machine from being removed.
    }
    return () => rmSync(path, { force: true });
  };
}

/** Ends the commands that an earlier process noted and did not see end, each with its group; answers their words. */
export async function endNotedCommands(folder: string): Promise<string[]> {
  const ended: string[] = [];
  for (const name of await readdir(folder).catch(() => [])) {
    const path = join(folder, name);
    const words = await readFile(path, "utf8");
    if (words !== "" && (await endOrphan({ pid: Number(name), mark: words, signal: "SIGKILL", group: true }))) ended.push(words);
    await rm(path, { force: true });
  }
  return ended;
}
