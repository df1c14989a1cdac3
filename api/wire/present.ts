/** What the wire leaves out of its answers: keys whose value is empty. */
export function present<T extends Record<string, unknown>>(fields: T): { [K in keyof T]?: NonNullable<T[K]> } {
  const empty = (value: unknown) =>
    value === null || value === undefined || value === "" || value === false || value === 0 || (Array.isArray(value) && value.length === 0);
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => !empty(value))) as { [K in keyof T]?: NonNullable<T[K]> };
}
