/** Builds ahead what a hub worker would otherwise bundle at its first start: the workflow code, where an image has it. */
import { DefaultLogger } from "@temporalio/worker";
import { buildBundle } from "../workers/bundle.ts";

process.stdout.write(`${await buildBundle(new DefaultLogger("WARN"))}\n`);
