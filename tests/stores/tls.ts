/** A server's certificate that nobody knows (also by a name that no name server has), and a front that speaks TLS for a server that does not. */
import "reflect-metadata"; // Asked for by a dependency of @peculiar/x509, and it must come first.
import { createPrivateKey } from "node:crypto";
import { connect, type AddressInfo } from "node:net";
import { createServer } from "node:tls";
import * as x509 from "@peculiar/x509";

export interface KeyPair {
  readonly certificate: string;
  readonly privateKey: string;
}

export async function selfSigned(): Promise<KeyPair> {
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
  const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      name: "CN=127.0.0.1",
      notBefore: new Date(Date.now() - 86_400_000),
      notAfter: new Date(Date.now() + 86_400_000),
      signingAlgorithm: algorithm,
      keys,
      extensions: [
        new x509.SubjectAlternativeNameExtension([
          { type: "ip", value: "127.0.0.1" },
          { type: "dns", value: "store.example" },
        ]),
      ],
    },
    crypto,
  );
  const der = Buffer.from(await crypto.subtle.exportKey("pkcs8", keys.privateKey));
  const privateKey = createPrivateKey({ key: der, format: "der", type: "pkcs8" }).export({ type: "pkcs8", format: "pem" }).toString();
  return { certificate: `${certificate.toString("pem")}\n`, privateKey };
}

export async function startTlsFront(target: string, { certificate, privateKey }: KeyPair) {
  const { hostname, port, pathname } = new URL(target);
  const open = new Set<{ destroy(): void }>();
  const server = createServer({ cert: certificate, key: privateKey }, (socket) => {
    const onward = connect(Number(port), hostname);
    open.add(socket);
    socket.on("error", () => onward.destroy()).on("close", () => onward.destroy());
    onward.on("error", () => socket.destroy()).on("close", () => socket.destroy());
    socket.pipe(onward).pipe(socket);
  });
  // Whoever does not trust the certificate breaks off, which is what is wanted.
  server.on("tlsClientError", () => undefined);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    endpoint: `https://127.0.0.1:${(server.address() as AddressInfo).port}${pathname === "/" ? "" : pathname}`,
    stop: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        for (const socket of open) socket.destroy();
      }),
  };
}
