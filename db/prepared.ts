/**
 * Statements that the server reads and plans once per connection, however often they are sent.
 *
 * The one idea: the ORM builds the same text again and again; under a name PostgreSQL knows it, and one that is known takes one round trip where an unknown
 * one takes two. What is built for one occasion, told by its many parameters, is not kept.
 */
import type postgres from "postgres";

type Unsafe = postgres.Sql["unsafe"];

/** Lists of values make a text for each length; those of a few lengths come back. */
const mostParameters = 32;

const keeping =
  (unsafe: Unsafe): Unsafe =>
  (text, parameters = [], options = {}) =>
    unsafe(text, parameters, { ...options, prepare: parameters.length > 0 && parameters.length <= mostParameters });

/** The same connections, for an ORM. */
export function preparing(sql: postgres.Sql): postgres.Sql {
  const begin = (work: (tx: postgres.TransactionSql) => unknown) => sql.begin((tx) => work(within(tx)));
  return standIn(sql, { unsafe: keeping(sql.unsafe), begin });
}

function within(tx: postgres.TransactionSql): postgres.TransactionSql {
  const savepoint = (work: (tx: postgres.TransactionSql) => unknown) => tx.savepoint((inner) => work(within(inner)));
  return standIn(tx, { unsafe: keeping(tx.unsafe), savepoint });
}

function standIn<T extends object>(whole: T, own: Record<string | symbol, unknown>): T {
  return new Proxy(whole, { get: (target, name) => own[name] ?? Reflect.get(target, name) });
}
