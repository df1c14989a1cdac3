/**
 * The hub's own certificate authority: hosts pin its certificate at enrolment and trust nothing else.
 *
 * The one idea: the authority lasts and its servers' certificates do not. A server gets a fresh one at each start, for the names it is reached by now.
 */
import "reflect-metadata"; // Asked for by a dependency of @peculiar/x509, and it must come first.
import { createHash, createPrivateKey, randomBytes, randomUUID } from "node:crypto";
import { isIP } from "node:net";
import * as x509 from "@peculiar/x509";
import { FaultError } from "../domain/errors.ts";
import { type KeyRing, wrapKey } from "./key-ring.ts";
import type { NewKeyRow } from "./key-rows.ts";
import { issuePeer, type PeerAsk, type PeerCertificate } from "./peer-certificates.ts";

export interface ServerCertificate {
  /** PEM, the authority's certificate after it. */
  readonly certificate: string;
  /** PEM, PKCS #8. */
  readonly privateKey: string;
  readonly expiresAt: Date;
}

export interface Authority {
  /** PEM. */
  readonly certificate: string;
  /** SHA-256 of the certificate, which enrolment tokens end in. */
  readonly sha256: string;
  /** A certificate for a server that is reached by these names and addresses. */
  issue(names: readonly string[]): Promise<ServerCertificate>;
  /** A certificate under which a host serves others or takes an image from them. */
  issuePeer(ask: PeerAsk): Promise<PeerCertificate>;
}

const dayMs = 86_400_000;
/** Hosts pin it, and a new one would need every host to enrol again: longer than any Mac lives. */
const authorityMs = 20 * 365 * dayMs;
/** Renewed at each start and a month before its end, so a year is reached by no running process. */
const serverMs = 365 * dayMs;
export const renewBeforeMs = 30 * dayMs;
/** Clocks of hosts may be behind. */
const skewMs = dayMs;

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
x509.cryptoProvider.set(crypto);

export async function newAuthority(masterKey: Uint8Array, hubId: string): Promise<NewKeyRow> {
  const keys = await newPair();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: `CN=Drover hub ${hubId}`,
    notBefore: new Date(Date.now() - skewMs),
    notAfter: new Date(Date.now() + authorityMs),
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
    ],
  });
  const secret = await exported(keys.privateKey);
  return wrapKey(masterKey, { id: randomUUID(), purpose: "authority", public: { certificate: certificate.toString("pem") }, secret });
}

export async function openAuthority(ring: KeyRing): Promise<Authority> {
  const key = await ring.current("authority");
  const pem = key.public?.["certificate"];
  if (typeof pem !== "string") throw new FaultError({ code: "internal", message: "The row of the hub authority has no certificate." });
  const issuer = new x509.X509Certificate(pem);
  const privateKey = await crypto.subtle.importKey("pkcs8", Uint8Array.from(key.secret), algorithm, false, ["sign"]);
  const forPeers = { certificate: issuer, key: privateKey, algorithm, serialNumber };
  return {
    certificate: pem,
    sha256: sha256Of(pem),
    issue: (names) => issue(issuer, privateKey, names),
    issuePeer: (ask) => issuePeer(forPeers, ask),
  };
}

/** How tokens and hosts name an authority: SHA-256 of its certificate in DER. */
export const sha256Of = (pem: string): string =>
  createHash("sha256")
    .update(new Uint8Array(new x509.X509Certificate(pem).rawData))
    .digest("hex");

async function issue(issuer: x509.X509Certificate, issuerKey: CryptoKey, names: readonly string[]): Promise<ServerCertificate> {
  const keys = await newPair();
  const expiresAt = new Date(Date.now() + serverMs);
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: "CN=Drover host gateway",
    issuer: issuer.subject,
    notBefore: new Date(Date.now() - skewMs),
    notAfter: expiresAt,
    signingAlgorithm: algorithm,
    publicKey: keys.publicKey,
    signingKey: issuerKey,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(
        names.map((value) => ({ type: isIP(value) === 0 ? ("dns" as const) : ("ip" as const), value })),
      ),
    ],
  });
  const privateKey = createPrivateKey({ key: await exported(keys.privateKey), format: "der", type: "pkcs8" })
    .export({ type: "pkcs8", format: "pem" })
    .toString();
  return { certificate: `${certificate.toString("pem")}\n${issuer.toString("pem")}\n`, privateKey, expiresAt };
}

const newPair = () => crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
const exported = async (key: CryptoKey) => Buffer.from(await crypto.subtle.exportKey("pkcs8", key));

/** 16 random bytes whose first bit is clear: a positive number of full length. */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString("hex");
}
