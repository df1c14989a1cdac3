/** A bare Hono handler that answers every path with the bytes of the file in its one argument; its port goes to standard output. */
import { readFile } from "node:fs/promises";
import { serve } from "@hono/node-server";
import { Hono } from "hono";

const body = await readFile(process.argv[2] ?? "", "utf8");
const app = new Hono();
app.get("*", (c) => c.body(body, 200, { "Content-Type": "application/json" }));
serve({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" }, ({ port }) => void process.stdout.write(`${port}\n`));
process.stdin.resume().once("end", () => process.exit(0));
