/**
 * Everything that is done to machines, on one whole stack: by the `drover` command and the REST API, seen on the host as well as in the hub.
 *
 * The one idea: a verb has worked when the host's own `prlctl` says so, and the machine's row tells the same.
 */
import { afterAll, beforeAll } from "vitest";
import { describeArchives } from "./machines/archives.ts";
import { describeCaches } from "./machines/caches.ts";
import { describeChanges } from "./machines/changes.ts";
import { describeDrains } from "./machines/drains.ts";
import { describeEnds } from "./machines/ends.ts";
import { describeGuest } from "./machines/guest.ts";
import { describeMacOS } from "./machines/macos.ts";
import { describeMaking } from "./machines/making.ts";
import { describeMany } from "./machines/many.ts";
import { describeSeen } from "./machines/seen.ts";
import { describeSnapshots } from "./machines/snapshots.ts";
import { describeStates } from "./machines/states.ts";
import { closeWorld, openWorld } from "./machines/world.ts";

beforeAll(openWorld, 120_000);
afterAll(closeWorld, 60_000);

describeMaking();
describeMany();
describeStates();
describeChanges();
describeSnapshots();
describeGuest();
describeSeen();
describeCaches();
describeEnds();
describeMacOS();
describeArchives();
// The last one: it retires every machine.
describeDrains();
