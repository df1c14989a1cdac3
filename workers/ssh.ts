/**
 * One command on a computer that a caller named, by SSH.
 *
 * The one idea: three doors come before the command: the address is one that the hub may connect to, the computer proves that it is the one that
 * `known_hosts` knows, and only then it gets the caller's credentials, which are kept nowhere.
 */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { Socket } from "node:net";
import { homedir } from "node:os";
import { join } from "node:path";
import ssh2, { type Client } from "ssh2";
import type { RunSsh, SshCommand } from "../api/ports.ts";
import { FaultError } from "../domain/errors.ts";
import { keysOf } from "../security/known-hosts.ts";
import { connection, type Reach } from "../security/outbound.ts";

interface SshSettings {
  readonly knownHosts: string | undefined;
  readonly insecure: boolean;
  readonly allowed: readonly string[];
  readonly unchecked: boolean;
}

/** A computer of a local network answers within a second; somebody waits. */
const answerMs = 10_000;
/** As long as a request of the contract that is passed on. */
const commandMs = 5 * 60_000;
/** Of output: more is a file, and no answer. */
const mostBytes = 1024 * 1024;

export const sshRunner =
  (settings: SshSettings): RunSsh =>
  async (wanted, signal) => {
    if (wanted.insecure && !settings.insecure) throw refused("any host key is believed only where ENABLE_SSH_INSECURE_KEY is true", wanted);
    const { allowed, unchecked, knownHosts = join(homedir(), ".ssh", "known_hosts") } = settings;
    const reach: Reach = unchecked || allowed.includes(wanted.host) ? "any" : "private";
    // A file that is not there knows nobody.
    const file = await readFile(knownHosts, "utf8").catch(() => "");
    const ends = AbortSignal.any([signal, AbortSignal.timeout(commandMs)]);
    const within = AbortSignal.any([ends, AbortSignal.timeout(answerMs)]);
    const sock = await connection(wanted.host, wanted.port, { reach, signal: within }).catch((cause: unknown) => failed(cause, wanted));
    const client = new ssh2.Client();
    try {
      await opened(client, sock, wanted, file);
      return await ran(client, wanted, ends);
    } finally {
      client.end();
      sock.destroy();
    }
  };

function opened(client: Client, sock: Socket, { host, port, username, password, key, insecure }: SshCommand, file: string): Promise<void> {
  const { known, revoked } = keysOf(file, host, port);
  let stranger: string | null = null;
  return new Promise((resolve, reject) => {
    client.on("ready", resolve);
    client.on("error", (cause: Error & { level?: string }) => {
      if (stranger !== null) reject(refused(`its host key ${stranger} is not known to the hub`, { host, port }));
      else if (cause.level === "client-authentication") reject(refused("it does not accept the credentials", { host, port }));
      else reject(fault("the connection failed", { host, port }, cause));
    });
    client.on("close", () => reject(fault("it closed the connection", { host, port })));
    const credentials = { ...(password === "" ? {} : { password }), ...(key === "" ? {} : { privateKey: key }) };
    const hostVerifier = (shown: Buffer): boolean => {
      const text = shown.toString("base64");
      if (!revoked.includes(text) && (insecure || known.includes(text))) return true;
      stranger = `SHA256:${createHash("sha256").update(shown).digest("base64").replace(/=+$/, "")}`;
      return false;
    };
    try {
      client.connect({ sock, username, ...credentials, readyTimeout: answerMs, hostVerifier });
    } catch (cause) {
      reject(refused("the key cannot be read", { host, port }, cause));
    }
  });
}

function ran(
  client: Client,
  { command, host, port }: SshCommand,
  signal: AbortSignal,
): Promise<{ output: string; exitCode: number | null }> {
  return new Promise((resolve, reject) => {
    const over = () => reject(fault("the command did not end in time", { host, port }));
    signal.addEventListener("abort", over, { once: true });
    client.on("error", (cause) => reject(fault("the connection broke", { host, port }, cause)));
    client.exec(command, (error, stream) => {
      if (error) return reject(fault("the command was not taken", { host, port }, error));
      const parts: Buffer[] = [];
      let bytes = 0;
      const take = (part: Buffer) => {
        if (bytes < mostBytes) parts.push(part.subarray(0, mostBytes - bytes));
        bytes += part.byteLength;
      };
      stream.on("data", take).stderr.on("data", take);
      stream.on("close", (code: number | null | undefined) => {
        signal.removeEventListener("abort", over);
        resolve({ output: Buffer.concat(parts).toString("utf8"), exitCode: code ?? null });
      });
    });
  });
}

type Place = Pick<SshCommand, "host" | "port">;
const refused = (why: string, { host, port }: Place, cause?: unknown) =>
  new FaultError({ code: "ssh_refused", message: `${host}:${port} was asked for nothing: ${why}.`, subject: host }, { cause });
const fault = (why: string, { host, port }: Place, cause?: unknown) =>
  new FaultError({ code: "ssh_failed", message: `The command on ${host}:${port} came to nothing: ${why}.`, subject: host }, { cause });
function failed(cause: unknown, place: Place): never {
  if (cause instanceof FaultError) throw cause;
  throw fault(cause instanceof Error && "code" in cause ? String(cause.code) : "no answer", place, cause);
}
