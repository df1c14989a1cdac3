/** Which of the system's tools are here. As root with CI=true everything is installed beforehand, so a missing tool is a failure and not a skip. */
import { findExecutable } from "../../parallels/locate.ts";

export async function hasTool(name: string): Promise<boolean> {
  const found = await findExecutable(name, process.env["PATH"] ?? "", ["/usr/sbin", "/sbin"]);
  if (found === null && process.env["CI"] === "true" && process.getuid?.() === 0)
    throw new Error(`${name} is missing, and CI=true forbids to skip`);
  return found !== null;
}
