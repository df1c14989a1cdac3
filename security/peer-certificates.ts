/**
 * The short-lived certificates under which hosts speak to one another, and how a host reads them.
 *
 * The one idea: the certificate is the grant. It names the host that it was given to, over the key that this host enrolled with, and, of one that takes, the
 * one image that it may take; so it is worth nothing without that key, for another image, or after its minutes.
 */
import "reflect-metadata"; // Asked for by a dependency of @peculiar/x509, and it must come first.
import type { X509Certificate } from "node:crypto";
import * as x509 from "@peculiar/x509";

export interface PeerAsk {
  readonly hostId: string;
  /** The Ed25519 key that the host enrolled with, raw in base64url. */
  readonly publicKey: string;
  /** The image that it may take; null for the certificate under which it serves. */
  readonly digest: string | null;
}

export interface PeerCertificate {
  /** PEM. */
  readonly certificate: string;
  readonly expiresAt: Date;
}

/** As long as a grant of the store: a transfer that takes longer asks anew. */
const takingMs = 15 * 60_000;
/** It tells only who serves; renewed at its half, so a hub may be away for hours. */
const servingMs = 12 * 3_600_000;
/** Clocks of hosts may be behind. */
const skewMs = 3_600_000;

const hostName = (hostId: string) => `drover:host:${hostId}`;
const imageName = (digest: string) => `drover:image:${digest}`;

export interface Issuer {
  readonly certificate: x509.X509Certificate;
  readonly key: CryptoKey;
  readonly algorithm: EcdsaParams;
  readonly serialNumber: () => string;
}

export async function issuePeer(issuer: Issuer, { hostId, publicKey, digest }: PeerAsk): Promise<PeerCertificate> {
  const key = await crypto.subtle.importKey("jwk", { kty: "OKP", crv: "Ed25519", x: publicKey }, { name: "Ed25519" }, true, ["verify"]);
  const expiresAt = new Date(Date.now() + (digest === null ? servingMs : takingMs));
  const names = [hostName(hostId), ...(digest === null ? [] : [imageName(digest)])];
  const use = digest === null ? x509.ExtendedKeyUsage.serverAuth : x509.ExtendedKeyUsage.clientAuth;
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: issuer.serialNumber(),
    subject: "CN=Drover host",
    issuer: issuer.certificate.subject,
    notBefore: new Date(Date.now() - skewMs),
    notAfter: expiresAt,
    signingAlgorithm: issuer.algorithm,
    publicKey: key,
    signingKey: issuer.key,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([use]),
      new x509.SubjectAlternativeNameExtension(names.map((value) => ({ type: "url" as const, value }))),
    ],
  });
  return { certificate: certificate.toString("pem"), expiresAt };
}

/** Whom a certificate of ours names, and the image that its host may take. Says nothing of who issued it: the handshake did. */
export function readPeer({
  subjectAltName = "",
}: Pick<X509Certificate, "subjectAltName">): { hostId: string; digest: string | null } | null {
  const names = subjectAltName.split(", ");
  const named = (form: RegExp) => names.map((name) => form.exec(name)?.[1]).find((value) => value !== undefined) ?? null;
  const hostId = named(/^URI:drover:host:([0-9a-f-]{36})$/);
  return hostId === null ? null : { hostId, digest: named(/^URI:drover:image:([0-9a-f]{64})$/) };
}
