#!/usr/bin/env node
/**
 * The first step of every command: installs what is missing, then hands over to the project's own Node.
 *
 * The one idea: plain JavaScript without dependencies, for whatever Node a computer has (20 or newer), because a shell finds that one first.
 * The real program is a child in the same terminal: signals reach it, its exit code is ours, and it ends when we do.
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync, realpathSync, statSync } from "node:fs";
import { constants } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const nodeBinary = join(root, "node_modules", "node", "bin", "node");
const oldestNode = 20;

/** Runs a file of the project under the project's Node and never returns: the process ends with its exit code. */
export function launch(entry, args) {
  if (Number(process.versions.node.split(".")[0]) < oldestNode) {
    giveUp(
      `Node ${process.versions.node} is too old: Drover needs Node ${oldestNode} or newer to begin with (it brings its own after that).`,
    );
  }
  // A published package is complete as it is; only a checkout has the compiler's settings.
  if (existsSync(join(root, "tsconfig.json"))) install();
  const path = [dirname(nodeBinary), join(root, "node_modules", ".bin"), process.env["PATH"] ?? ""].join(delimiter);
  // Compiled code is kept beside the packages that it came from: every process starts faster and needs 30 to 40 MiB less.
  const compiled = process.env["NODE_COMPILE_CACHE"] ?? join(root, "node_modules", ".cache", "drover", "compiled");
  const env = { ...process.env, PATH: path, NODE_COMPILE_CACHE: compiled, DROVER_LIFELINE: String(process.pid) };
  const child = spawn(nodeBinary, [join(root, entry), ...args], { stdio: "inherit", env });
  child.on("error", (error) => giveUp(`The project's Node does not start: ${error.message}. Remove node_modules and try again.`));
  passSignals(child);
  child.on("exit", (code, signal) => process.exit(code ?? 128 + (constants.signals[signal] ?? 0)));
}

/** A terminal sends Ctrl-C to us and to the child alike; from elsewhere, and when npm died without telling us, we pass the end on. */
function passSignals(child) {
  process.on("SIGINT", () => process.stdin.isTTY || child.kill("SIGINT"));
  for (const signal of ["SIGTERM", "SIGHUP", "SIGQUIT"]) process.on(signal, () => child.kill(signal));
  const parent = process.ppid;
  // Four times a second: npm ends at once on SIGTERM, and people expect its children to be gone soon after.
  setInterval(() => process.ppid !== parent && child.kill("SIGTERM"), 250).unref();
}

function install() {
  if (!installed()) {
    process.stderr.write("Installing packages (once, about a minute) ...\n");
    npm([existsSync(join(root, "package-lock.json")) ? "ci" : "install"]);
  }
  // npm may be set not to run the install scripts of packages, and this one is nothing without its script.
  if (!existsSync(nodeBinary)) run(process.execPath, ["installArchSpecificPackage.js"], join(root, "node_modules", "node"));
  if (!existsSync(nodeBinary))
    giveUp("The npm package `node` has no binary for this computer. Install Node by hand, or use a supported system (Linux, macOS).");
}

/** npm writes its own copy of the lock at the end of an installation; both within two seconds come from the same one. */
function installed() {
  const done = statSync(join(root, "node_modules", ".package-lock.json"), { throwIfNoEntry: false });
  const wanted = statSync(join(root, "package-lock.json"), { throwIfNoEntry: false });
  return done !== undefined && (wanted === undefined || wanted.mtimeMs <= done.mtimeMs + 2000);
}

const npm = (args) => run("npm", [...args, "--no-audit", "--no-fund", "--loglevel=error", "--include=dev"], root);

function run(command, args, cwd) {
  const { error, status, stdout, stderr } = spawnSync(command, args, { cwd, encoding: "utf8", maxBuffer: 64 * 1024 * 1024 });
  if (error?.code === "ENOENT") giveUp(`${command} is not on PATH. Install Node.js with npm (https://nodejs.org), then try again.`);
  if (error === undefined && status === 0) return;
  const output = `${stdout ?? ""}\n${stderr ?? ""}`.trim();
  if (/ENOSPC|no space left/i.test(output)) giveUp(`The disk is full: free about 1 GB for ${join(root, "node_modules")}, then try again.`);
  // npm tells the cause first and its help text last.
  const first = output.split("\n").slice(0, 8).join("\n");
  giveUp(`Installing packages failed (${command} ${args[0]}): ${error?.message ?? `exit code ${status}`}\n${first}`);
}

function giveUp(message) {
  process.stderr.write(`drover: ${message}\n`);
  process.exit(1);
}

/** `npm run` calls this file with the program to enter and its arguments. */
if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const [entry, ...args] = process.argv.slice(2);
  if (entry === undefined || !existsSync(join(root, entry))) giveUp(`there is no program ${entry ?? ""} in ${readName()}.`);
  launch(entry, args);
}

function readName() {
  return JSON.parse(readFileSync(join(root, "package.json"), "utf8")).name;
}
