/**
 * The wire's user configurations, which web pages and editors keep for whoever uses them.
 *
 * The one idea: they belong to the user whom the request speaks for, so nobody else's can be named. Programs keep secrets in such places, so values are sealed.
 */
import { z } from "zod";
import { FaultError } from "../../domain/errors.ts";
import { findUserConfig, listUserConfigs, removeUserConfig, writeUserConfig, type UserConfig } from "../../db/user-configs.ts";
import { userConfigSeal } from "../../security/sealed-texts.ts";
import type { Hub } from "../ports.ts";
import { refusal } from "../wire/errors.ts";
import { filtered } from "../wire/filter.ts";
import type { Mount } from "../wire/mount.ts";

const types = ["string", "bool", "int", "json"] as const;
/** A page's settings are a few KiB; this is no store for files. */
const longestValue = 256 * 1024;
const longestName = 256;

const text = z.string().default("");
const UserConfigRequest = z.object({ slug: text, name: text, type: text, value: text }).meta({ id: "UserConfigRequest" });
const UserConfigUpdateRequest = z.object({ name: text, type: text, value: text }).meta({ id: "UserConfigUpdateRequest" });
const UserConfigResponse = z
  .object({
    id: z.string(),
    user_id: z.string(),
    slug: z.string(),
    name: z.string(),
    type: z.enum(types),
    value: z.string(),
    created_at: z.string(),
    updated_at: z.string(),
  })
  .meta({ id: "UserConfigResponse" });

const tag = "user configurations";
const common = { tag, needs: {}, status: 200, reply: UserConfigResponse } as const;

export function userConfigRoutes(hub: Hub, mount: Mount): void {
  readRoutes(hub, mount);
  writeRoutes(hub, mount);
}

function readRoutes(hub: Hub, mount: Mount): void {
  const shown = shownBy(hub);
  const found = async (userId: string, word: string): Promise<UserConfig> => {
    const config = await findUserConfig(hub.db, userId, word);
    if (config) return config;
    throw refusal(404, "error 404: user config not found");
  };

  mount(
    "get",
    "/user/configs",
    "List the caller's configurations",
    { ...common, reply: z.array(UserConfigResponse) },
    async ({ c, actor }) => filtered(await Promise.all((await listUserConfigs(hub.db, actor.userId)).map(shown)), c.req.header("X-Filter")),
  );
  mount("get", "/user/configs/{id}", "Get a configuration by id or slug", common, async ({ actor, param }) =>
    shown(await found(actor.userId, param("id"))),
  );
  mount("delete", "/user/configs/{id}", "Remove a configuration", { tag, needs: {}, status: 202 }, async ({ actor, param }) =>
    removeUserConfig(hub.db, (await found(actor.userId, param("id"))).id),
  );
}

function writeRoutes(hub: Hub, mount: Mount): void {
  const shown = shownBy(hub);
  const keep = keptBy(hub);
  mount(
    "post",
    "/user/configs",
    "Write a configuration",
    { ...common, orStatus: [201], body: UserConfigRequest },
    async ({ c, actor, body }) => {
      for (const field of ["slug", "name"] as const)
        if (body[field] === "") throw refusal(400, `invalid request body: error 400: ${field} is required`);
      const slug = (await findUserConfig(hub.db, actor.userId, body.slug))?.slug ?? body.slug;
      const { config, made } = await keep(actor.userId, slug, valuesOf(body));
      return c.json(await shown(config), made ? 201 : 200);
    },
  );
  mount(
    "put",
    "/user/configs/{id}",
    "Change a configuration, or write one of this slug",
    { ...common, orStatus: [201], body: UserConfigUpdateRequest },
    async ({ c, actor, body, param }) => {
      const known = await findUserConfig(hub.db, actor.userId, param("id"));
      const { slug, ...before } = known ? await shown(known) : { slug: param("id"), name: param("id"), type: "string" as const, value: "" };
      const values = valuesOf({
        slug,
        name: body.name || before.name,
        type: body.type || before.type,
        value: body.value || before.value,
      });
      const { config, made } = await keep(actor.userId, slug, values);
      return c.json(await shown(config), made ? 201 : 200);
    },
  );
}

function valuesOf({ slug, name, type, value }: z.output<typeof UserConfigRequest>) {
  const known = types.find((one) => one === (type || "string"));
  if (!known) throw refusal(400, `invalid request body: error 400: type must be one of: ${types.join(", ")}`);
  if (slug.length > longestName || name.length > longestName || value.length > longestValue)
    throw new FaultError({
      code: "invalid_request",
      message: `A slug and a name have at most ${longestName} characters, a value ${longestValue}.`,
    });
  return { name, type: known, value };
}

const keptBy =
  ({ db, sealer }: Hub) =>
  async (userId: string, slug: string, { value, ...values }: ReturnType<typeof valuesOf>) =>
    writeUserConfig(db, { userId, slug }, { ...values, sealed: await userConfigSeal(sealer).close(userId, slug, value) });

const shownBy =
  ({ sealer }: Hub) =>
  async ({
    id,
    userId,
    slug,
    name,
    type,
    value,
    sealed,
    createdAt,
    updatedAt,
  }: UserConfig): Promise<z.input<typeof UserConfigResponse>> => ({
    id,
    user_id: userId,
    slug,
    name,
    type,
    value: sealed === null ? value : await userConfigSeal(sealer).open(userId, slug, sealed),
    created_at: createdAt.toISOString(),
    updated_at: updatedAt.toISOString(),
  });
