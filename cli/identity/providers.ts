/** What super users do with identity providers. */
import { z } from "zod";
import { ProviderReport } from "../../domain/access/identity.ts";
import { Nothing, pathOf } from "../client.ts";
import type { Context } from "../context.ts";
import { exitCodes } from "../exit-codes.ts";
import { facts, table } from "../output/table.ts";
import { usageFault } from "../problem.ts";
import { given } from "../values.ts";
import { IdentityProvider } from "../wire.ts";

/** One word `none` empties a list. */
const emptied = (words: string[] | undefined) => (words?.length === 1 && words[0] === "none" ? [] : words);
const several = z.array(z.string()).optional().transform(emptied);
const yesOrNo = z
  .enum(["yes", "no"], "must be yes or no")
  .transform((word) => word === "yes")
  .optional();
const Meanings = z
  .object({
    name: z.string().optional(),
    clientId: z.string().optional(),
    scope: several,
    userClaim: z.string().optional(),
    groupsClaim: z.string().optional(),
    role: several.transform((pairs) => (pairs === undefined ? undefined : rolesByGroup(pairs))),
    makeUsers: yesOrNo,
    bearerAudience: several,
  })
  .transform(
    ({
      name,
      clientId,
      groupsClaim,
      scope: scopes,
      userClaim: userNameClaim,
      role: groupRoles,
      makeUsers: makesUsers,
      bearerAudience,
    }) => ({
      name,
      clientId,
      groupsClaim,
      scopes,
      userNameClaim,
      groupRoles,
      makesUsers,
      bearerAudiences: bearerAudience,
    }),
  );

/** Names of groups may hold `=`, as those of directories do; names of roles do not. */
function rolesByGroup(pairs: readonly string[]): Record<string, string[]> {
  const mapping: Record<string, string[]> = {};
  for (const pair of pairs) {
    const at = pair.lastIndexOf("=");
    const roles = pair
      .slice(at + 1)
      .split(",")
      .filter((role) => role !== "");
    if (at < 1 || roles.length === 0)
      throw usageFault(`role: ${pair} must be a group and its roles, such as ops=ADMIN.`, "drover identity provider");
    mapping[pair.slice(0, at)] = [...(mapping[pair.slice(0, at)] ?? []), ...roles.map((role) => role.toUpperCase())];
  }
  return mapping;
}

const path = (...rest: string[]) => pathOf("identity", "providers", ...rest);

export async function listProviders(context: Context): Promise<void> {
  const found = await (await context.hub()).list(path(), IdentityProvider);
  const columns = [
    { title: "NAME", of: ({ name }: IdentityProvider) => name },
    { title: "ISSUER", of: ({ issuer }: IdentityProvider) => issuer },
    { title: "CLIENT", of: ({ clientId }: IdentityProvider) => clientId },
    { title: "MAKES USERS", of: ({ makesUsers }: IdentityProvider) => (makesUsers ? "yes" : "no") },
    { title: "ROLES", of: rolesOf },
    { title: "AUDIENCES", of: ({ bearerAudiences }: IdentityProvider) => bearerAudiences.join(", ") },
  ];
  context.show(found, () => table(found, columns, "No identity providers."));
}

const rolesOf = ({ groupRoles }: IdentityProvider): string =>
  Object.entries(groupRoles)
    .map(([group, roles]) => `${group}=${roles.join(",")}`)
    .join(" ");

export async function addProvider(context: Context, [name, issuer]: readonly string[], options: unknown): Promise<void> {
  const wanted = given(Meanings, options);
  if (wanted.clientId === undefined)
    throw usageFault("Name Drover's client at the provider with --client-id.", "drover identity provider add");
  const added = await (await context.hub()).send("POST", path(), IdentityProvider, { body: { ...wanted, name, issuer } });
  context.show(added, () => `People log in through ${added.name} with \`drover login --provider ${added.name}\`.`);
}

export async function editProvider(context: Context, [name = ""]: readonly string[], options: unknown): Promise<void> {
  const changed = await (await context.hub()).send("PATCH", path(name), IdentityProvider, { body: given(Meanings, options) });
  context.show(changed, () => `Changed ${changed.name}; roles by groups follow at each person's next login.`);
}

export async function removeProvider(context: Context, [name = ""]: readonly string[]): Promise<void> {
  await (await context.hub()).send("DELETE", path(name), Nothing);
  context.show({ name }, () => `Removed ${name}.`);
}

export async function testProvider(context: Context, [name = ""]: readonly string[]): Promise<number> {
  const report = await (await context.hub()).send("POST", path(name, "test"), ProviderReport);
  const { issuer, authorizationEndpoint, deviceEndpoint, keys, algorithms, remarks } = report;
  context.show(report, () =>
    facts([
      ["issuer", issuer],
      ["login", authorizationEndpoint],
      ["device", deviceEndpoint],
      ["keys", String(keys)],
      ["algorithms", algorithms.join(", ")],
      ...remarks.map((remark): [string, string] => ["remark", remark]),
    ]),
  );
  return keys > 0 && algorithms.length > 0 ? exitCodes.done.code : exitCodes.failed.code;
}
