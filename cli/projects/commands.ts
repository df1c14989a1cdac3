/** `drover project`: who owns things, and how much of them. */
import type { Command } from "commander";
import { declare, declareGroup, type Answer } from "../declare.ts";

export function projectCommands(program: Command, answer: Answer): void {
  const project = declareGroup(program, { name: "project", summary: "Divide the fleet among projects, and limit what each may have" });
  declare(
    project,
    {
      usage: "list",
      summary: "List projects and what they use",
      alias: "ls",
      examples: ["drover project list"],
      run: async () => (await import("./projects.ts")).listProjects,
    },
    answer,
  );
  declare(
    project,
    {
      usage: "add <project>",
      summary: "Make a project, without limits",
      examples: ["drover project add ci"],
      run: async () => (await import("./projects.ts")).addProject,
    },
    answer,
  );
  declare(
    project,
    {
      usage: "join <project> <user>",
      summary: "Let a user belong to a project, and to no other",
      examples: ["drover project join ci build-bot"],
      run: async () => (await import("./projects.ts")).joinProject,
    },
    answer,
  );
  quotaCommands(project, answer);
}

function quotaCommands(project: Command, answer: Answer): void {
  const quota = declareGroup(project, { name: "quota", summary: "Show and set what a project may have" });
  declare(
    quota,
    {
      usage: "show <project>",
      summary: "Show the limits of a project, and what it uses of them",
      examples: ["drover project quota show ci"],
      run: async () => (await import("./projects.ts")).showQuota,
    },
    answer,
  );
  declare(
    quota,
    {
      usage: "set <project>",
      summary: "Set limits of a project; those that are not named stay",
      options: [
        ["--machines <n>", "how many machines; none for any number"],
        ["--cpus <n>", "vCPUs of all machines together, running or not; none for any number"],
        ["--memory <size>", "memory of all machines together, such as 64G; none for any"],
        ["--storage <size>", "what all image versions take in stores, each counted as if it were alone; none for any"],
      ],
      examples: ["drover project quota set ci --machines 40 --cpus 160 --memory 320G", "drover project quota set ci --storage none"],
      run: async () => (await import("./projects.ts")).setQuota,
    },
    answer,
  );
}
