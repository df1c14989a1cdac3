/**
 * Changes of a machine as commands of `prlctl set`.
 *
 * The one idea: Parallels takes many plain options in one call but one device in each, so a change becomes as few commands as that allows.
 */
import { macAddressOf, megabytesOf, valueOf, wordsOf, type PrlctlOption } from "./arguments.ts";

export interface Changes {
  readonly name?: string | undefined;
  readonly description?: string | undefined;
  readonly cpus?: number | undefined;
  readonly memoryBytes?: number | undefined;
  /** `auto` lets Parallels choose a fresh one. */
  readonly macAddress?: string | undefined;
  /** Options of `prlctl set` as the REST contract of Parallels has them, passed on in their order. */
  readonly options?: readonly PrlctlOption[] | undefined;
}

export function commandsOf({ name, description, cpus, memoryBytes, macAddress, options = [] }: Changes): string[][] {
  const plain = [
    ...(description === undefined ? [] : ["--description", valueOf("description", description)]),
    ...(cpus === undefined ? [] : ["--cpus", String(cpus)]),
    ...(memoryBytes === undefined ? [] : ["--memsize", megabytesOf(memoryBytes)]),
    ...(name === undefined ? [] : ["--name", valueOf("name", name)]),
  ];
  const network = macAddress === undefined ? [] : ["--device-set", "net0", "--mac", macAddressOf(macAddress)];
  // By name another machine could not be found after a rename, so the rename comes last.
  return [network, wordsOf(options), plain].filter((words) => words.length > 0);
}
