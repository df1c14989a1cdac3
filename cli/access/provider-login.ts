/**
 * `drover login --provider`: authorization code with PKCE in a browser of this computer, or the device flow in any browser.
 *
 * The one idea: the provider's tokens live in this function only. The ID token goes to the hub once, which answers with a login of its own.
 */
import { randomBytes } from "node:crypto";
import * as oidc from "openid-client";
import type { z } from "zod";
import { isLoopback, isSafeIssuer } from "../../domain/access/issuers.ts";
import { LoginProvider } from "../../domain/access/identity.ts";
import { FaultError } from "../../domain/errors.ts";
import { reasonOf } from "../client.ts";
import type { Context } from "../context.ts";
import { hasBrowser, openBrowser } from "./browser.ts";
import { listenForRedirect } from "./redirect.ts";
import { getFrom, logInByProvider } from "./log-in.ts";
import type { StoredLogin } from "./login-file.ts";

/** Somebody looks for a password and a second factor in this time; a forgotten login ends by itself. */
const patienceMs = 5 * 60_000;
/** A provider that is up answers within seconds. */
const answerSeconds = 15;

type Provider = z.infer<typeof LoginProvider>;
interface Way {
  readonly provider: string;
  readonly device: boolean;
  /** Where the provider was told one port; 0 for any. */
  readonly redirectPort: number;
}

export async function providerLogin(context: Context, url: string, { provider: name, device, redirectPort }: Way): Promise<StoredLogin> {
  const { items } = await getFrom(url, "/login/providers", LoginProvider);
  const provider = items.find((one) => one.name.toLowerCase() === name.toLowerCase());
  if (!provider) throw unknownProvider(url, name, items);
  const idToken = await idTokenOf(context, provider, { device, redirectPort }).catch((error: unknown) => {
    throw told(provider, error);
  });
  return { url, ...(await logInByProvider(url, { provider: provider.name, idToken })) };
}

async function idTokenOf(context: Context, provider: Provider, { device, redirectPort }: Omit<Way, "provider">): Promise<string> {
  if (!isSafeIssuer(provider.issuer)) throw refused(`The hub names ${provider.issuer} for ${provider.name}, which is not behind https.`);
  const clear = isLoopback(provider.issuer) ? { execute: [oidc.allowInsecureRequests] } : {};
  const options = { timeout: answerSeconds, ...clear };
  const config = await oidc.discovery(new URL(provider.issuer), provider.clientId, undefined, oidc.None(), options);
  const hasDevice = config.serverMetadata().device_authorization_endpoint !== undefined;
  if (device && !hasDevice) throw refused(`${provider.name} has no device flow: log in without --device, on a computer with a browser.`);
  const byDevice = device || (hasDevice && !hasBrowser(context.env));
  const { id_token: idToken } = byDevice
    ? await inAnyBrowser(context, config, provider)
    : await inBrowserHere(context, config, provider, redirectPort);
  if (idToken === undefined) throw refused(`${provider.name} gave no ID token; see that its scopes here contain openid.`);
  return idToken;
}

async function inBrowserHere({ env, streams }: Context, config: oidc.Configuration, { scopes }: Provider, port: number) {
  const [verifier, state, nonce] = [oidc.randomPKCECodeVerifier(), randomBytes(32).toString("base64url"), oidc.randomNonce()];
  const redirect = await listenForRedirect({ state, port, patienceMs });
  try {
    const address = oidc.buildAuthorizationUrl(config, {
      redirect_uri: redirect.uri,
      scope: scopes.join(" "),
      code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
      code_challenge_method: "S256",
      state,
      nonce,
    });
    streams.err.write(`Log in with your browser; if none opens, go to:\n\n  ${address.href}\n\n`);
    openBrowser(env, address.href);
    const checks = { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true };
    return await oidc.authorizationCodeGrant(config, await redirect.answered, checks);
  } finally {
    redirect.close();
  }
}

async function inAnyBrowser({ streams }: Context, config: oidc.Configuration, { scopes }: Provider) {
  const asked = await oidc.initiateDeviceAuthorization(config, { scope: scopes.join(" ") });
  const place = asked.verification_uri_complete ?? asked.verification_uri;
  streams.err.write(`On any device, go to:\n\n  ${place}\n\nand see that it shows the code ${asked.user_code}\n`);
  return oidc.pollDeviceAuthorizationGrant(config, asked, undefined, { signal: AbortSignal.timeout(patienceMs) });
}

const refused = (message: string) => new FaultError({ code: "identity_refused", message });

function unknownProvider(url: string, name: string, known: readonly Provider[]): FaultError {
  const names = known.map((one) => one.name).join(", ");
  const message = `${url} knows no identity provider ${name}${names === "" ? "" : `, but ${names}`}.`;
  return new FaultError({ code: "identity_provider_not_found", message, details: { remedy: "Name another one, or log in by password." } });
}

/** What a provider or the way to it said, as one sentence. */
function told({ name, issuer }: Provider, error: unknown): unknown {
  if (error instanceof FaultError) return error;
  if (error instanceof oidc.ResponseBodyError || error instanceof oidc.AuthorizationResponseError)
    return refused(`${name} refused the login: ${error.error}${error.error_description ? `, ${error.error_description}` : ""}.`);
  if (error instanceof oidc.ClientError && error.code !== "OAUTH_TIMEOUT")
    return refused(`The answer of ${name} cannot be believed: ${error.message}.`);
  if (error instanceof Error && (error.name === "TimeoutError" || error.name === "AbortError"))
    return refused(`Nobody logged in within ${patienceMs / 60_000} minutes.`);
  const message = `${name} at ${issuer} does not answer (${reasonOf(error)}).`;
  return new FaultError({ code: "identity_provider_unreachable", message }, { cause: error });
}
