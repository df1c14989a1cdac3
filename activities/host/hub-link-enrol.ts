/**
 * Enrolment, seen from the host: shows the token, gets an identity.
 *
 * The one idea: the token ends in the SHA-256 of the hub authority's certificate, so the very first connection already knows whom it must reach:
 * the chain that the server shows must end in exactly that certificate.
 */
import { X509Certificate } from "node:crypto";
import { connect, type DetailedPeerCertificate } from "node:tls";
import { FaultError } from "../../domain/errors.ts";
import { EnrolAnswer, type HostFacts } from "../../domain/hosts/schema.ts";
import { readEnrolmentToken } from "../../security/enrolment-tokens.ts";
import { newHostKey } from "../../security/host-tokens.ts";
import { hubHttp, jsonOf, unreachable } from "./hub-link-http.ts";
import type { HostIdentity } from "./hub-link-identity.ts";

export interface EnrolAsk {
  readonly url: string;
  readonly token: string;
  readonly facts: HostFacts;
  readonly replace: boolean;
}

/** A hub on the same network answers in milliseconds; this outlasts a slow name server. */
const connectMs = 15_000;

export async function enrol({ url, token, facts, replace }: EnrolAsk): Promise<HostIdentity> {
  const read = readEnrolmentToken(token);
  if (!read)
    throw new FaultError({ code: "enrolment_refused", message: "This is not an enrolment token; it was perhaps not copied whole." });
  const authority = await pinnedAuthority(url, read.authoritySha256);
  const privateKey = newHostKey();
  const http = hubHttp(url, authority);
  try {
    const body = Buffer.from(JSON.stringify({ token: token.trim(), publicKey: privateKey.x, facts, replace }));
    const answer = await http.send({ method: "POST", path: "/host/v1/enrol", headers: { "content-type": "application/json" }, body });
    const { hostId, hubId, name, grpcAddress, namespace } = EnrolAnswer.parse(await jsonOf(answer));
    return { hubUrl: new URL(url).origin, hubId, hostId, name, authority, grpcAddress, namespace, privateKey };
  } finally {
    http.close();
  }
}

/** Asks the server for its chain, believing nothing of it but the pinned hash. The connection proper is then made anew, under that authority. */
function pinnedAuthority(url: string, sha256: string): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port || 443), rejectUnauthorized: false, timeout: connectMs }, () => {
      const found = chainOf(socket.getPeerCertificate(true)).find(
        ({ fingerprint256 }) => fingerprint256.replaceAll(":", "").toLowerCase() === sha256,
      );
      socket.destroy();
      if (found) return resolve(found.toString());
      const message = `The server at ${url} is not the hub that made this token.`;
      reject(new FaultError({ code: "enrolment_refused", message }));
    });
    socket.on("timeout", () => socket.destroy(new Error("The hub did not answer in time.")));
    socket.on("error", (cause) => reject(unreachable(url, cause)));
  });
}

function chainOf(leaf: DetailedPeerCertificate): X509Certificate[] {
  const chain: X509Certificate[] = [];
  for (
    let one: DetailedPeerCertificate | undefined = leaf;
    one?.raw;
    one = one.issuerCertificate === one ? undefined : one.issuerCertificate
  ) {
    chain.push(new X509Certificate(one.raw));
    // A chain of ours has two; a longer one is none.
    if (chain.length > 4) break;
  }
  return chain;
}
