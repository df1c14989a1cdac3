/**
 * Identity providers on loopback: a real one with its pages, a browser that walks through them, and an issuer whose tokens a test may forge.
 *
 * The one idea: the real provider shows that honest people get in; the issuer that signs whatever it is told shows that nobody else does.
 */
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWTHeaderParameters, type JWTPayload } from "jose";
import Provider from "oidc-provider";

export const apiAudience = "urn:drover:api";

async function listen() {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const close = () => {
    server.closeAllConnections();
    return new Promise<void>((resolve) => server.close(() => resolve()));
  };
  const answer = (listener: RequestListener) => void server.on("request", listener);
  return { issuer: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, answer, close };
}

/** What the provider says of its people, by subject; a test may change it between two logins. */
export type People = Map<string, Record<string, unknown>>;

export async function openProvider(people: People) {
  const { issuer, answer, close } = await listen();
  const { privateKey } = await generateKeyPair("RS256", { extractable: true });
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: "drover",
        application_type: "native",
        token_endpoint_auth_method: "none",
        redirect_uris: ["http://127.0.0.1/callback"],
        response_types: ["code"],
        grant_types: ["authorization_code", "urn:ietf:params:oauth:grant-type:device_code"],
      },
    ],
    claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["preferred_username", "name", "groups"] },
    conformIdTokenClaims: false,
    cookies: { keys: ["of this test"] },
    jwks: { keys: [{ ...(await exportJWK(privateKey)), kid: "real", use: "sig", alg: "RS256" }] },
    findAccount: (_context, sub) => {
      const claims = people.get(sub);
      return claims && { accountId: sub, claims: async () => ({ sub, ...claims }) };
    },
    features: {
      deviceFlow: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => apiAudience,
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({ scope: "", audience: apiAudience, accessTokenFormat: "jwt", accessTokenTTL: 600 }),
      },
    },
  });
  answer((request, response) => void provider.callback()(request, response));
  return { issuer, close };
}

interface Asking {
  readonly url: URL;
  readonly body?: URLSearchParams;
}

/** Walks from page to page as a person would who logs in as `login` and agrees to everything; answers the last page. */
export async function browse(address: string, login: string): Promise<string> {
  const cookies = new Map<string, string>();
  let asking: Asking = { url: new URL(address) };
  for (let steps = 0; steps < 20; steps += 1) {
    const { text, next } = await step(asking, cookies, login);
    if (!next) return text;
    asking = next;
  }
  throw new Error(`The pages of ${address} have no end.`);
}

async function step({ url, body }: Asking, cookies: Map<string, string>, login: string): Promise<{ text: string; next: Asking | null }> {
  const cookie = [...cookies].map((pair) => pair.join("=")).join("; ");
  const response = await fetch(url, { redirect: "manual", headers: { cookie }, ...(body ? { method: "POST", body } : {}) });
  for (const line of response.headers.getSetCookie()) {
    const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
    cookies.set(name, value);
  }
  const text = await response.text();
  if (response.status >= 400) throw new Error(`${url.href} answers ${response.status}: ${text.slice(0, 500)}`);
  const location = response.headers.get("location");
  return { text, next: location ? { url: new URL(location, url) } : formOf(text, url, login) };
}

function formOf(text: string, url: URL, login: string): Asking | null {
  const [, attributes = "", inner = ""] = /<form([^>]*)>([\s\S]*?)<\/form>/.exec(text) ?? [];
  const [, action] = /action="([^"]+)"/.exec(attributes) ?? [];
  if (action === undefined) return null;
  const body = new URLSearchParams();
  for (const [input] of inner.matchAll(/<input[^>]*>/g)) {
    const [, name = ""] = /name="([^"]+)"/.exec(input) ?? [];
    body.set(name, name === "login" ? login : name === "password" ? "any" : (/value="([^"]*)"/.exec(input)?.[1] ?? ""));
  }
  return { url: new URL(action, url), body };
}

export interface Minted {
  readonly header?: Partial<JWTHeaderParameters>;
  readonly key?: CryptoKey | Uint8Array;
}

/** An issuer that signs whatever it is told, and counts how often it is asked for its keys. */
export async function openIssuer() {
  const { issuer, answer, close } = await listen();
  const { privateKey, publicKey } = await generateKeyPair("ES256", { extractable: true });
  const publicJwk = await exportJWK(publicKey);
  let asked = 0;
  answer((request, response) => {
    const keys = request.url === "/keys";
    if (keys) asked += 1;
    const document = { issuer, jwks_uri: `${issuer}/keys`, id_token_signing_alg_values_supported: ["ES256"] };
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(keys ? { keys: [{ ...publicJwk, kid: "one", alg: "ES256", use: "sig" }] } : document));
  });
  const now = () => Math.floor(Date.now() / 1000);
  const mint = (claims: Readonly<Record<string, unknown>>, { header = {}, key = privateKey }: Minted = {}) =>
    new SignJWT({ iss: issuer, iat: now(), exp: now() + 300, jti: crypto.randomUUID(), ...claims } as JWTPayload)
      .setProtectedHeader({ alg: "ES256", kid: "one", typ: "JWT", ...header })
      .sign(key);
  return { issuer, mint, now, publicJwk, asked: () => asked, close };
}
