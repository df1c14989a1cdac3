/**
 * Identity providers: found by id or by name in any case, or by their issuer.
 *
 * The one idea: with a provider goes what it gave. Whose subject somebody is stays written down, so that a provider that comes back means the same people.
 */
import { asc, eq, or, sql } from "drizzle-orm";
import { IdentityProvider, type NewIdentityProvider } from "../domain/access/identity.ts";
import { FaultError } from "../domain/errors.ts";
import type { Database } from "./connect.ts";
import { identities, identityProviders as providers, users } from "./schema.ts";

export async function listProviders(db: Database): Promise<IdentityProvider[]> {
  return (await db.select().from(providers).orderBy(asc(providers.name))).map((row) => IdentityProvider.parse(row));
}

export async function findProvider(db: Database, idOrName: string): Promise<IdentityProvider> {
  const same = or(sql`${providers.id}::text = lower(${idOrName})`, sql`lower(${providers.name}) = lower(${idOrName})`);
  const [row] = await db.select().from(providers).where(same).limit(1);
  if (row) return IdentityProvider.parse(row);
  throw new FaultError({ code: "identity_provider_not_found", message: `There is no identity provider ${idOrName}.`, subject: idOrName });
}

export async function providerOfIssuer(db: Database, issuer: string): Promise<IdentityProvider | null> {
  const [row] = await db.select().from(providers).where(eq(providers.issuer, issuer));
  return row ? IdentityProvider.parse(row) : null;
}

export async function insertProvider(db: Database, wanted: NewIdentityProvider): Promise<IdentityProvider> {
  const [row] = await db
    .insert(providers)
    .values({ id: crypto.randomUUID(), ...wanted })
    .onConflictDoNothing()
    .returning();
  if (row) return IdentityProvider.parse(row);
  throw exists(`There is a provider with the name ${wanted.name} or the issuer ${wanted.issuer} already.`);
}

/** Writes all that may change of it; its issuer may not. */
export async function writeProvider(db: Database, provider: IdentityProvider): Promise<IdentityProvider> {
  const { id, issuer: _, createdAt: __, ...values } = provider;
  const [taken] = await db
    .select({ id: providers.id })
    .from(providers)
    .where(sql`lower(${providers.name}) = lower(${provider.name}) and ${providers.id} <> ${id}`);
  if (taken) throw exists(`There is a provider with the name ${provider.name} already.`);
  const [row] = await db
    .update(providers)
    .set({ ...values, updatedAt: sql`now()` })
    .where(eq(providers.id, id))
    .returning();
  if (row) return IdentityProvider.parse(row);
  throw new FaultError({ code: "identity_provider_not_found", message: `The identity provider ${provider.name} was removed meanwhile.` });
}

/** The roles that users had by its groups go with it. */
export async function removeProvider(db: Database, { id, issuer }: IdentityProvider): Promise<void> {
  await db.execute(sql`update ${users} set roles = array(select unnest(${users.roles}) except select unnest(i.roles)), updated_at = now()
    from ${identities} i where i.user_id = ${users.id} and i.issuer = ${issuer} and cardinality(i.roles) > 0`);
  await db.update(identities).set({ roles: [] }).where(eq(identities.issuer, issuer));
  await db.delete(providers).where(eq(providers.id, id));
}

const exists = (message: string) => new FaultError({ code: "identity_provider_exists", message });
