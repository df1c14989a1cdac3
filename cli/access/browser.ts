/** The browser of this computer, where it has one that its user sees. */
import { spawn } from "node:child_process";
import { platform } from "node:os";

type Variables = Readonly<Record<string, string | undefined>>;

export function hasBrowser(env: Variables): boolean {
  if (env["BROWSER"]) return true;
  if (platform() === "darwin" || platform() === "win32") return !env["SSH_CONNECTION"];
  return Boolean(env["DISPLAY"] || env["WAYLAND_DISPLAY"]);
}

/** Whether it opens is seen by its user, who has the address as well. */
export function openBrowser(env: Variables, address: string): void {
  if (!hasBrowser(env)) return;
  const [command, ...args] = opener(env);
  if (command === undefined) return;
  spawn(command, [...args, address], { detached: true, stdio: "ignore" })
    .on("error", () => undefined)
    .unref();
}

function opener(env: Variables): string[] {
  if (env["BROWSER"]) return [env["BROWSER"]];
  if (platform() === "darwin") return ["open"];
  return platform() === "win32" ? ["rundll32", "url.dll,FileProtocolHandler"] : ["xdg-open"];
}
