/**
 * Secrets as files: `NAME_FILE` names a file that holds the value of the secret variable `NAME`.
 *
 * The one idea: this happens before the configuration is read, so nothing else knows where a value came from. What cannot be read stays as it was
 * given, and the configuration reports it beside all other mistakes: an unreadable key must never count as none.
 */
import { aboutVariable, type VariableName, variableNames } from "./variables.ts";

type Environment = Readonly<Record<string, string | undefined>>;

const secrets = variableNames.filter((name) => aboutVariable(name).secret === true);
const fileOf = (name: VariableName) => `${name}_FILE`;

/** The environment with values in the place of the files; `read` fails where there is nothing to read. */
export function withSecretFiles(env: Environment, read: (path: string) => string): Environment {
  const found: Record<string, string | undefined> = { ...env };
  for (const name of secrets) {
    const path = env[fileOf(name)];
    const value = path && !env[name] ? contentOf(path, read) : "";
    if (value === "") continue;
    found[name] = value;
    delete found[fileOf(name)];
  }
  return found;
}

/** What is wrong with the files that are still named once they were read. */
export function mistakesOfFiles(env: Environment): string[] {
  return secrets.flatMap((name) => {
    const path = env[fileOf(name)];
    if (!path) return [];
    return env[name] ? [`${name} and ${fileOf(name)} are both set`] : [`${fileOf(name)} names ${path}, which cannot be read or is empty`];
  });
}

/** Editors and `openssl` end a file with a new line that is no part of the secret. */
function contentOf(path: string, read: (path: string) => string): string {
  try {
    return read(path).replace(/\r?\n$/, "");
  } catch {
    return "";
  }
}
