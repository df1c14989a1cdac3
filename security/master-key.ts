/**
 * The master key: 32 bytes that wrap every other key, from variables or from files beside the data.
 *
 * The one idea: who sets a variable also changes it, so a rotation of such a key only says what to set; files are changed by the rotation itself.
 */
import { keyFiles } from "./master-key-files.ts";
import { invalidKey, keyOf, type MasterKeySource } from "./master-key-word.ts";

export interface MasterKeyOptions {
  /** The value of DROVER_MASTER_KEY, if it is set: base64 or hexadecimal. */
  readonly given: string | undefined;
  /** DROVER_MASTER_KEY_NEXT. */
  readonly next?: string | undefined;
  /** DROVER_HOME. */
  readonly home: string;
}

export const masterKeySource = ({ given, next, home }: MasterKeyOptions): MasterKeySource =>
  given === undefined ? keyFiles(home) : keyVariables(given, next);

function keyVariables(given: string, following: string | undefined): MasterKeySource {
  const key = keyOf(given, "DROVER_MASTER_KEY");
  const next = following === undefined ? null : keyOf(following, "DROVER_MASTER_KEY_NEXT");
  const elsewhere = async () => {
    throw invalidKey("The master key stands in DROVER_MASTER_KEY: set that variable instead.");
  };
  return {
    name: "DROVER_MASTER_KEY",
    read: async () => (next === null ? [key] : [key, next]),
    make: async () => key,
    next: async () => {
      if (next !== null) return next;
      throw invalidKey(
        "The master key stands in DROVER_MASTER_KEY: give the key to change to in DROVER_MASTER_KEY_NEXT, to every process.",
      );
    },
    // Who set the variables sets them anew.
    settle: async () => {},
    afresh: async () => key,
    take: elsewhere,
  };
}
