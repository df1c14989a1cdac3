/** A person at the command line, who follows the address that it prints. */
import { browse } from "./provider.ts";

/** Follows the address that the command line prints, once. */
export function person(login: string) {
  let walk: Promise<string> | null = null;
  const follow = (said: string) => {
    const [, address] = /\n\n {2}(http\S+)\n/.exec(said) ?? [];
    if (address !== undefined) walk ??= browse(address, login);
  };
  return { follow, page: () => walk };
}
