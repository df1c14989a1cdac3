/**
 * The certificates that a store's own server is known by.
 *
 * The one idea: they are added to the well-known ones, so that a proxy of the company and Amazon's own servers are both trusted by one client.
 */
import { readFileSync } from "node:fs";
import { rootCertificates } from "node:tls";
import { FaultError } from "../domain/errors.ts";

/** Reads the file of a location's `ca`; a store is opened seldom, so reading it then keeps opening simple. */
export function readAuthority(path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  let text = "";
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    throw new FaultError({ code: "store_invalid", message: `The store's ca names ${path}, which cannot be read on the hub.` }, { cause });
  }
  if (text.includes("-----BEGIN CERTIFICATE-----")) return text;
  throw new FaultError({ code: "store_invalid", message: `The store's ca names ${path}, which holds no certificate in PEM.` });
}

export const withKnown = (pem: string): string[] => [...rootCertificates, pem];
