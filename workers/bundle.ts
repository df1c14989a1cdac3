/**
 * The workflow code as one file that the sandbox can load: built at the start of a process that runs from its sources, or read where it was built ahead.
 */
import { access } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { bundleWorkflowCode, type Logger, type WorkflowBundleOption } from "@temporalio/worker";
import { failureConverterPath } from "./temporal.ts";

const workflowsPath = fileURLToPath(new URL("../workflows/index.ts", import.meta.url));
/** Where the published package has it. */
const builtPath = fileURLToPath(new URL("../dist/workflows.js", import.meta.url));

export async function workflowBundle(logger: Logger): Promise<WorkflowBundleOption> {
  const built = await access(builtPath).then(
    () => true,
    () => false,
  );
  return built ? { codePath: builtPath } : bundleWorkflowCode({ workflowsPath, failureConverterPath, logger });
}
