/**
 * Routes of the wire that would act on a computer behind a host's back: tools, and commands by SSH.
 *
 * The one idea: they answer, to those who may ask, that Drover does not do it and what does it instead; none pretends to have done something.
 */
import { z } from "zod";
import { refusal } from "../wire/errors.ts";
import type { Mount } from "../wire/mount.ts";

const Asked = z.object({ tools: z.record(z.string().max(128), z.unknown()).default({}), all: z.boolean().default(false) });
const Item = z.object({ success: z.boolean(), version: z.string().optional(), message: z.string().optional() });
const InstallToolsResponse = z
  .object({ success: z.boolean(), installed_tools: z.record(z.string(), Item) })
  .meta({ id: "InstallToolsResponse" });
const UninstallToolsResponse = z
  .object({ success: z.boolean(), uninstalled_tools: z.record(z.string(), Item) })
  .meta({ id: "UninstallToolsResponse" });
const known = ["brew", "git", "packer", "vagrant", "parallels-desktop"];
const message = "Drover installs and removes nothing on hosts: use the management of your Macs.";

export function toolWireRoutes(mount: Mount): void {
  const tag = "config";
  const needs = { superUser: true } as const;
  const answers = ({ tools, all }: z.output<typeof Asked>) => {
    const names = all ? known : Object.keys(tools);
    if (names.length === 0) throw refusal(400, "Invalid request body: error 400: tools are needed unless all is true");
    return Object.fromEntries(names.map((name) => [name, { success: false, message }]));
  };
  mount(
    "post",
    "/config/tools/install",
    "Install nothing, and say so for each tool",
    { tag, needs, status: 200, body: Asked.meta({ id: "InstallToolsRequest" }), reply: InstallToolsResponse },
    async ({ body }) => ({ success: false, installed_tools: answers(body) }),
  );
  mount(
    "post",
    "/config/tools/uninstall",
    "Remove nothing, and say so for each tool",
    { tag, needs, status: 200, body: Asked.meta({ id: "UninstallToolsRequest" }), reply: UninstallToolsResponse },
    async ({ body }) => ({ success: false, uninstalled_tools: answers(body) }),
  );
  mount("post", "/config/tools/restart", "Refused: the API has nothing to restart", { tag, needs, status: 202 }, async () => {
    throw refusal(400, "The API takes up changes without a restart, and whoever supervises its process restarts it.");
  });
}
