/** How a simulated command fails: a text for stderr and an exit code, thrown to the one place that ends the process. */

/** What nearly every failure of Parallels' commands answers. */
const generalExit = 255;

export interface Failure {
  readonly text: string;
  readonly exit: number;
}

const failures = new WeakMap<Error, Failure>();

export function failure(text: string, exit = generalExit): Error {
  const error = new Error(text);
  failures.set(error, { text, exit });
  return error;
}

export const failureOf = (error: unknown): Failure | null => (error instanceof Error ? failures.get(error) : undefined) ?? null;
