/** Changes as they are told: what is absent stays as it was, and so must not be written as `undefined` over what there is. */

type Told<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

export const withoutAbsent = <T extends object>(fields: T): Told<T> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Told<T>;
