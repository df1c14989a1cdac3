/**
 * The one way in for both commands: fault first, then the verb, then an exit code with everything written.
 */
import { faultFor, hang, type Command, type Verb } from "./command.ts";
import { readControl } from "./control.ts";
import { failure, failureOf } from "./failure.ts";
import { homeVariable, readHost } from "./home.ts";
import { openRegistry } from "./registry.ts";
import { setTimeout as sleep } from "node:timers/promises";

const lostExitCode = "PrlJob_GetRetCode: Invalid argument. An invalid argument was passed.";
/** Cannot connect to the Parallels service. */
const noService = 253;

export async function runCommand(
  argv: readonly string[],
  verbs: Readonly<Record<string, () => Promise<Verb>>>,
  usage: string,
): Promise<void> {
  process.exitCode = await finish(async () => {
    const [name = "", ...rest] = argv;
    const home = process.env[homeVariable] ?? "";
    const command: Command = { home, host: readHost(home), control: readControl(home), registry: openRegistry(home), argv: rest };
    const verb = verbs[name];
    if (!verb) return unknownAction(name, usage);
    const fault = faultFor(command, name);
    if (fault?.kind === "hang") return hang(command);
    if (fault?.kind === "slow") await sleep(fault.delayMs ?? 0);
    if (fault?.kind === "fail") throw failure(fault.stderr ?? "An unknown error occurred.", fault.exit);
    if (command.control.serviceDown) throw failure("Login failed: Unable to connect to Parallels Service.", noService);
    const exit = (await (await verb())(command)) ?? 0;
    if (fault?.kind === "lost-exit-code") throw failure(fault.stderr ?? lostExitCode, fault.exit);
    return exit;
  });
}

async function finish(run: () => Promise<number>): Promise<number> {
  try {
    return await run();
  } catch (error) {
    const failed = failureOf(error);
    if (!failed) throw error;
    process.stderr.write(`${failed.text}\n`);
    return failed.exit;
  }
}

function unknownAction(name: string, usage: string): number {
  process.stdout.write(`${usage}\n`);
  process.stderr.write(`Unknown action: ${name}\n`);
  return 1;
}
