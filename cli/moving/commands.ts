/** `drover import`: whole installations of other services, moved here. */
import type { Command } from "commander";
import { declare, declareGroup, type Answer, type Declaration } from "../declare.ts";

export function movingCommands(program: Command, answer: Answer): void {
  const group = declareGroup(program, { name: "import", summary: "Move an installation of another service here" });
  declare(group, devops, answer);
}

const devops: Declaration = {
  usage: "devops <file>",
  summary: "Take over a Parallels DevOps service by its database, data.json: users, rights, keys, catalog, managers, proxies",
  options: [
    ["--dry-run", "only tell what would come of it"],
    ["--key <file>", "the key that it was encrypted with (ENCRYPTION_PRIVATE_KEY, as PEM or base64 of it)"],
    ["--host <host>", "the host that the file's own proxy hosts are for (name or id); the only host without it"],
    ["--without-images", "leave the catalog out"],
  ],
  examples: [
    "drover import devops /etc/prl-devops-service/data.json --dry-run",
    "drover import devops data.json --key private.pem --host mac-1",
  ],
  run: async () => (await import("./devops.ts")).importDevops,
};
