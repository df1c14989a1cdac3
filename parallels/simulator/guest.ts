/**
 * `prlctl exec`: a guest reduced to a few commands and a real shell.
 *
 * The one idea: a script given to `/bin/sh -s` really runs, in an empty folder of the machine and with an empty environment, so what it
 * prints and how it exits is true; everything else of a guest is a table.
 */
import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { hang, machineNamed, notStarted, say, type Command } from "./command.ts";
import { failure } from "./failure.ts";
import { pathsIn } from "./home.ts";
import { isMac, stateOf, toolsOf, type Machine } from "./machine.ts";
import { settingsOf } from "./settings.ts";

const noSession =
  "Unable to open new session in this virtual machine. Make sure your virtual machine has finished booting, runs the latest version of Parallels Tools, and is not isolated from the host OS.";
const notFound = 127;

export async function exec(command: Command): Promise<number> {
  const [handle, ...rest] = command.argv;
  const machine = machineNamed(command, handle);
  const words = guestWords(rest);
  if (words.join(" ").length > command.control.execArgvHangBytes) return hang(command);
  openGuest(command, handle);
  return inSession(command, machine, () => runInGuest(command, machine, words));
}

/** The machine of that name, whose guest takes sessions. */
export function openGuest(command: Command, handle: string | undefined): Machine {
  const machine = machineNamed(command, handle);
  const nowMs = Date.now();
  if (stateOf(machine, nowMs) !== "running") throw failure(notStarted(machine));
  if (toolsOf(machine, command.control, nowMs) !== "installed" || settingsOf(machine.bundlePath).isolated) throw failure(noSession);
  return machine;
}

/** What follows the options. Parallels joins the words and the guest splits them at blanks, without a shell. */
function guestWords(argv: readonly string[]): string[] {
  const takesValue = new Set(["--user", "--password"]);
  let index = 0;
  while (argv[index]?.startsWith("-")) index += takesValue.has(argv[index] ?? "") ? 2 : 1;
  return argv
    .slice(index)
    .join(" ")
    .split(" ")
    .filter((word) => word !== "");
}

async function inSession(command: Command, machine: Machine, run: () => Promise<number>): Promise<number> {
  const work = { kind: "session", machineId: machine.id, leftovers: [] } as const;
  command.registry.alone(() => {
    if (command.registry.underway("session").length >= command.control.guestSessions)
      throw failure(
        "Unable to open new session in this virtual machine. The maximum number of simultaneous logon attempts has been reached.",
      );
    command.registry.begin(work);
  });
  try {
    return await run();
  } finally {
    command.registry.end(work);
  }
}

async function runInGuest(command: Command, machine: Machine, words: readonly string[]): Promise<number> {
  const [program = "", ...rest] = words;
  if (program === "/bin/sh" && rest.length === 1 && rest[0] === "-s") return runShell(command, machine);
  const answer = answerOf(machine, program, rest);
  if (answer === null) {
    process.stderr.write(`${program}: command not found\n`);
    return notFound;
  }
  say(answer.text);
  return answer.exit;
}

function answerOf(machine: Machine, program: string, rest: readonly string[]): { text: string; exit: number } | null {
  const line = (text: string) => ({ text: `${text}\n`, exit: 0 });
  const mac = isMac(machine) || settingsOf(machine.bundlePath).os === "macosx";
  const guestName = machine.name.replace(/[^A-Za-z0-9-]+/g, "-");
  switch (program.replace(/^\/(usr\/)?s?bin\//, "")) {
    case "true":
      return { text: "", exit: 0 };
    case "false":
      return { text: "", exit: 1 };
    case "echo":
      return line(rest.join(" "));
    case "hostname":
      return line(guestName);
    case "whoami":
      return line("root");
    case "uname":
      return line(kernelAnswer(mac, guestName, rest));
    case "sw_vers":
      return mac ? versionAnswer(rest) : null;
    case "ipconfig":
      return mac && rest[0] === "getifaddr" && rest[1] === "en0" && machine.address
        ? line(machine.address)
        : mac
          ? { text: "", exit: 1 }
          : null;
    default:
      return null;
  }
}

function kernelAnswer(mac: boolean, guestName: string, options: readonly string[]): string {
  const facts = { s: mac ? "Darwin" : "Linux", n: guestName, r: mac ? "24.2.0" : "6.8.0", m: mac ? "arm64" : "aarch64" };
  const letters = options.join("").replaceAll("-", "") || "s";
  const wanted = letters.includes("a") ? "snrm" : letters;
  return [...wanted]
    .map((letter) => facts[letter as keyof typeof facts] ?? "")
    .filter((word) => word !== "")
    .join(" ");
}

function versionAnswer(options: readonly string[]): { text: string; exit: number } {
  const facts = { ProductName: "macOS", ProductVersion: "15.2", BuildVersion: "24C101" };
  const wanted = Object.entries(facts).find(([name]) => options[0]?.toLowerCase() === `-${name.toLowerCase()}`);
  const lines = wanted ? [wanted[1]] : Object.entries(facts).map(([name, value]) => `${name}:\t\t${value}`);
  return { text: `${lines.join("\n")}\n`, exit: 0 };
}

/** The exit code is lost when the caller closes its end of stdin before the command has ended. */
function runShell(command: Command, machine: Machine): Promise<number> {
  const cwd = join(pathsIn(command.home).guests, machine.id);
  mkdirSync(cwd, { recursive: true });
  const shell = spawn("/bin/sh", ["-s"], { cwd, env: {}, stdio: ["pipe", "inherit", "inherit"] });
  let closed = false;
  process.stdin.on("data", (bytes) => void shell.stdin.write(bytes));
  process.stdin.on("end", () => {
    closed = true;
    shell.stdin.end();
  });
  // The shell may end without having read everything.
  shell.stdin.on("error", () => {});
  return new Promise((resolve, reject) => {
    shell.on("error", reject);
    shell.on("exit", (code) => {
      process.stdin.destroy();
      resolve(closed ? 0 : (code ?? 255));
    });
  });
}
