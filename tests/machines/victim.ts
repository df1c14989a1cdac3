/** A host in a process of its own, to be killed: it does one activity, says what it reports, and what came of it. */
import { openTestHost } from "./host.ts";
import type { Order } from "./victims.ts";

const order = JSON.parse(process.argv[2] ?? "{}") as Order;
const host = openTestHost(order.home, order.sealed ?? {}, (line) => process.stdout.write(`${JSON.stringify(line)}\n`));
if ("create" in order) await host.run(({ createMachine }) => createMachine(order.create));
else await host.run(({ actOnMachine }) => actOnMachine(order.act));
