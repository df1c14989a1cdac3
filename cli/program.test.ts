/** The command line as a whole: its tree, its help, and how mistakes are told. No hub is asked. */
import { Readable, Writable } from "node:stream";
import { tmpdir } from "node:os";
import type { Command } from "commander";
import { describe, expect, it } from "vitest";
import { FaultError } from "../domain/errors.ts";
import { openContext, type Context } from "./context.ts";
import type { Parts } from "./parts.ts";
import { makeProgram, runCommand } from "./program.ts";
import { wordsAfter } from "./system/completion.ts";

/** A stream that remembers what was written. */
function collector() {
  const text: string[] = [];
  const write = (chunk: Buffer, _encoding: string, done: () => void) => {
    text.push(chunk.toString());
    done();
  };
  return { stream: new Writable({ write }), text: () => text.join("") };
}

/** A computer without Drover on it, but for its version. */
const nothing = (): never => {
  throw new FaultError({ code: "tool_missing", message: "It is not here." });
};
const parts: Parts = {
  version: async () => "1.2.3",
  inspectBundle: async (path) => ({
    facts: { path, logicalBytes: 2048 },
    refusals: [{ code: "bundle_refused", message: `${path} is packed.`, remedy: "Unpack it." }],
  }),
  serveCaller: async () => nothing(),
  enrol: async () => nothing(),
  runProcess: async () => undefined,
  start: async () => undefined,
  setupTemporal: async () => [],
  temporalCommands: async () => ["temporal operator namespace create --namespace drover"],
  keys: () => nothing(),
  service: () => nothing(),
  reset: async () => nothing(),
  findTool: async () => null,
  prlctl: async () => null,
  macFacts: async () => null,
};

function world(env: Record<string, string> = {}): { context: Context; out: () => string; err: () => string } {
  const [out, err] = [collector(), collector()];
  const folder = tmpdir();
  const given = { DROVER_CONFIG_DIR: `${folder}/no-such-folder`, DROVER_HOME: `${folder}/no-such-home`, ...env };
  return {
    out: out.text,
    err: err.text,
    context: openContext({
      env: given,
      folder,
      streams: { out: out.stream, err: err.stream, in: Readable.from([]) },
      parts,
      onSignal: () => () => undefined,
    }),
  };
}
async function drover(...args: string[]) {
  const { context, out, err } = world();
  return { exitCode: await runCommand(context, args), out: out(), err: err() };
}

const leaves = (command: Command, path: string[] = []): string[][] =>
  command.commands.length === 0 ? [path] : command.commands.flatMap((one) => leaves(one, [...path, one.name()]));
const tree = makeProgram({ exitCode: 0, context: world().context });

describe("drover", () => {
  it("has the commands that are documented", () => {
    const found = leaves(tree).map((path) => path.join(" "));
    for (const path of [
      "push",
      "pull",
      "login",
      "machine exec",
      "machine snapshot revert",
      "host enrol",
      "operation wait",
      "temporal setup",
      "run",
      "start",
    ])
      expect(found).toContain(path);
  });

  it.each(leaves(tree).filter(([first]) => first !== "help"))("explains `%s %s %s` with an example", async (...path) => {
    const words = path.filter((word) => word !== undefined);
    const { exitCode, out, err } = await drover(...words, "--help");
    expect([exitCode, err]).toEqual([0, ""]);
    expect(out).toMatch(new RegExp(`Usage: drover ${words.join(" ")}`));
    expect(out).toMatch(/\nExamples?:\n {2}\$ /);
  });

  it("explains a command also by `help`, and the exit codes", async () => {
    expect((await drover("help", "machine", "exec")).out).toContain("Usage: drover machine exec");
    expect((await drover("help", "exit-codes")).out).toContain("0  It is done.");
    expect(await drover("help", "no-such-thing")).toMatchObject({ exitCode: 2, err: expect.stringContaining("no-such-thing") });
  });

  it.each([
    [["no-such-command"], "Unknown command 'no-such-command'."],
    [["push"], "Missing required argument 'bundle'."],
    [["machine"], "The command is not complete."],
    [["machine", "create", "a", "--cpu", "4"], "Unknown option '--cpu' (Did you mean --cpus?)"],
    [["machine", "create", "a"], "Name the image with --image."],
    [["machine", "create", "a", "--image", "u", "--memory", "much"], "memory: must be a size such as 512M or 8G."],
    [
      ["machine", "create", "../x", "--image", "u"],
      "name starts with a letter or digit and holds letters, digits, blanks and . _ ( ) - only.",
    ],
    [["pull", "u"], "Name the host that is to have the image with --host."],
    [["run", "everything"], "There is no process everything: the known ones are api, hub, gateway, host."],
    [["completion", "tcsh"], "There is no completion for tcsh: the known shells are bash, zsh, fish."],
  ])("tells what is wrong with %j and ends with 2", async (args, message) => {
    const { exitCode, out, err } = await drover(...args);
    expect([exitCode, out, err.split("\n")[0]]).toEqual([2, "", `drover: ${message}`]);
  });

  it("tells a mistake as JSON where JSON was asked for, even in the options", async () => {
    const { exitCode, out, err } = await drover("machine", "list", "--json", "--colour");
    expect([exitCode, out]).toEqual([2, ""]);
    expect(JSON.parse(err)).toMatchObject({ code: "usage", message: "Unknown option '--colour'." });
  });

  it("says first what to do when nobody is logged in", async () => {
    const { exitCode, err } = await drover("machine", "list");
    expect(exitCode).toBe(3);
    expect(err).toMatch(/^drover: You are not logged in[^\n]+\n {8}Log in with `drover login/);
  });

  it("prints one JSON document and nothing else with --json", async () => {
    const { out, err } = await drover("version", "--json");
    expect(JSON.parse(out)).toMatchObject({ drover: "1.2.3" });
    expect(err).toBe("");
  });

  it("never shows a stack without DROVER_DEBUG", async () => {
    const plain = await drover("reset", "--yes");
    expect([plain.exitCode, plain.err]).toEqual([8, expect.not.stringContaining("    at ")]);
    const { context, err } = world({ DROVER_DEBUG: "1" });
    await runCommand(context, ["reset", "--yes"]);
    expect(err()).toContain("    at ");
  });

  it("does not remove anything unasked where nobody can be asked", async () => {
    expect(await drover("reset")).toMatchObject({ exitCode: 2, err: expect.stringContaining("--yes") });
  });

  it("lists all mistakes of the configuration, and masks its secrets", async () => {
    const wrong = world({ API_PORT: "x", LOG_LEVEL: "loud" });
    expect(await runCommand(wrong.context, ["config"])).toBe(2);
    expect(wrong.err()).toMatch(/API_PORT.*\n?.*LOG_LEVEL|LOG_LEVEL.*\n?.*API_PORT/);
    const right = world({ ROOT_PASSWORD: "correct-horse" });
    expect(await runCommand(right.context, ["config"])).toBe(0);
    expect(right.out()).toMatch(/ROOT_PASSWORD +\*{8}/);
    expect(right.out()).not.toContain("correct-horse");
  });

  it("tells why a push would refuse a bundle, by words and by exit code", async () => {
    const { exitCode, out } = await drover("bundle", "check", "/x/a.pvmp");
    expect([exitCode, out]).toEqual([6, "A push would refuse this bundle:\n  /x/a.pvmp is packed.\n    Unpack it.\n"]);
    expect((await drover("bundle", "inspect", "/x/a.pvmp")).out).toContain("logical  2 KiB");
  });

  it("goes on by itself after `run` and `start`", async () => {
    expect([(await drover("run", "api")).exitCode, (await drover("start")).exitCode]).toEqual([null, null]);
  });

  it("completes every command and option in each shell", async () => {
    const words = wordsAfter(tree);
    expect(words.get("machine snapshot")).toEqual(["create", "list", "revert", "delete", "--help"]);
    expect(words.get("machine exec")).toContain("--script");
    for (const shell of ["bash", "zsh", "fish"]) expect((await drover("completion", shell)).out).toContain("snapshot");
  });
});
