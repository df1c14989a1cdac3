/**
 * Who calls, with what they may do at this moment.
 *
 * The one idea: every request asks, so the question is prepared once, and requests of one moment share its answer.
 */
import type postgres from "postgres";
import { superUserRole } from "../domain/access/claims.ts";
import type { Actor } from "../domain/access/schema.ts";
import { together, type Together } from "./together.ts";

/** Where the database itself says that rights may have changed: a user, a role, an API key or a rule for workloads, whoever changed it. */
export const rightsChannel = "drover_rights";

/** A user, by the right of whom something is asked. */
export type Caller = Omit<Actor, "apiKeyId">;

const asked = `select id, username, email, project, roles, claims,
    array(select claim from roles r, unnest(r.claims) claim where r.id = any(u.roles)) as inherited
  from users u where id = any($1::text[])`;

/** By the exact id, as our tokens and keys have it. */
export const callers = (client: postgres.Sql): Together<Caller> =>
  together(async (ids) => {
    const rows = await client.unsafe<Row[]>(asked, [[...ids]], { prepare: true });
    return new Map(rows.map((row) => [row.id, callerOf(row)]));
  });

interface Row {
  readonly id: string;
  readonly username: string;
  readonly email: string;
  readonly project: string;
  readonly roles: string[];
  readonly claims: string[];
  readonly inherited: string[];
}

const callerOf = ({ id: userId, claims, inherited, ...user }: Row): Caller => ({
  ...user,
  userId,
  claims: [...new Set([...claims, ...inherited])],
  isSuperUser: user.roles.includes(superUserRole),
});
