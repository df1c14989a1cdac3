import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { commandNotes, endNotedCommands } from "./command-notes.ts";

async function folderOfNotes(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "drover-notes-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  return folder;
}

it("ends the commands that a killed process left running, and forgets them", async () => {
  const folder = await folderOfNotes();
  const words = ["600", "601"];
  const left = spawn("sleep", words, { detached: true, stdio: "ignore" });
  commandNotes(folder)(left.pid ?? 0, words);
  const ended = once(left, "exit");
  expect(await endNotedCommands(folder)).toEqual(["600 601"]);
  expect(await ended).toEqual([null, "SIGKILL"]);
  expect(await readdir(folder)).toEqual([]);
});

it("touches no process that came to have the number of a command that has ended", async () => {
  const folder = await folderOfNotes();
  const other = spawn("sleep", ["600"], { detached: true, stdio: "ignore" });
  onTestFinished(() => void other.kill("SIGKILL"));
  for (const words of ["start 8d2c", ""]) {
    await writeFile(join(folder, String(other.pid)), words);
    expect(await endNotedCommands(folder)).toEqual([]);
  }
  expect(other.exitCode).toBeNull();
  expect(await readdir(folder)).toEqual([]);
});

it("keeps no note of a command that has ended", async () => {
  const folder = await folderOfNotes();
  commandNotes(folder)(1, ["start"])();
  expect(await readdir(folder)).toEqual([]);
});
