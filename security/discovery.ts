/**
 * What an identity provider says about itself, and how it is asked: within a time, up to a size, never redirected.
 *
 * The one idea: only an issuer that a super user named is ever asked, never one that stands in a token; so no caller chooses where the hub connects to.
 */
import { z } from "zod";
import { isSafeAddress } from "../domain/access/issuers.ts";
import { FaultError } from "../domain/errors.ts";

/** A provider answers within a second; somebody waits for a login. */
const answerMs = 5_000;
/** Documents of providers have some kilobytes. */
const mostBytes = 512 * 1024;

const address = z.string().refine(isSafeAddress, "must be an https address");
export const Metadata = z.object({
  issuer: z.string(),
  jwks_uri: address,
  authorization_endpoint: address.optional(),
  token_endpoint: address.optional(),
  device_authorization_endpoint: address.optional(),
  id_token_signing_alg_values_supported: z.array(z.string()).default([]),
  code_challenge_methods_supported: z.array(z.string()).optional(),
});
export type Metadata = z.infer<typeof Metadata>;

/** Fails with `identity_provider_unreachable` or `identity_provider_invalid`. */
export async function discover(issuer: string): Promise<Metadata> {
  const url = `${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`;
  const read = Metadata.safeParse(await fetchJson(url));
  if (!read.success) throw invalid(`${url} is no discovery document: ${z.prettifyError(read.error).replace(/\s+/g, " ")}.`);
  if (read.data.issuer !== issuer)
    throw invalid(`${url} speaks for the issuer ${read.data.issuer.slice(0, 200)}, not for ${issuer}: the two must be spelled alike.`);
  if (issuer.startsWith("https:") && !read.data.jwks_uri.startsWith("https:")) throw invalid(`The keys of ${issuer} are not behind https.`);
  return read.data;
}

export async function fetchJson(url: string): Promise<unknown> {
  const signal = AbortSignal.timeout(answerMs);
  const text = await answerOf(url, signal).catch((cause: unknown) => {
    if (cause instanceof FaultError) throw cause;
    const reason = signal.aborted ? `no answer within ${answerMs / 1000} s` : reasonOf(cause);
    throw new FaultError({ code: "identity_provider_unreachable", message: `${url} cannot be read: ${reason}.` }, { cause });
  });
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new FaultError({ code: "identity_provider_invalid", message: `${url} does not answer JSON.` }, { cause });
  }
}

async function answerOf(url: string, signal: AbortSignal): Promise<string> {
  const response = await fetch(url, { headers: { accept: "application/json" }, redirect: "manual", signal });
  if (response.status >= 500)
    throw new FaultError({ code: "identity_provider_unreachable", message: `${url} answers with status ${response.status}.` });
  if (response.status !== 200) throw invalid(`${url} answers with status ${response.status} instead of a document.`);
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of response.body ?? []) {
    bytes += part.byteLength;
    if (bytes > mostBytes) throw invalid(`${url} answers with more than ${mostBytes} bytes.`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString("utf8");
}

const invalid = (message: string) => new FaultError({ code: "identity_provider_invalid", message });

function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  if (cause instanceof Error) return "code" in cause && typeof cause.code === "string" ? cause.code : cause.message;
  return String(cause);
}
