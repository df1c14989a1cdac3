#!/usr/bin/env node
/**
 * The `drover` command as a shell finds it: enters the project's own Node with the real command line.
 *
 * The one idea: the same launcher as `npm start`, so that there is one way in, whatever Node the computer has.
 */
import { launch } from "../deploy/bootstrap.mjs";

launch("cli/main.ts", process.argv.slice(2));
