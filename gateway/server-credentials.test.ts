/** That a certificate can be replaced while the gRPC server runs. */
import { connect } from "node:tls";
import { Server } from "@grpc/grpc-js";
import { expect, it } from "vitest";
import { newAuthority, openAuthority } from "../security/authority.ts";
import { keyRing, openRow } from "../security/key-ring.ts";
import type { KeyRow } from "../security/key-rows.ts";
import { RenewableCredentials } from "./server-credentials.ts";

it("shows the new certificate to whoever connects after a renewal", async () => {
  const masterKey = new Uint8Array(32);
  const row: KeyRow = { ...(await newAuthority(masterKey, "hub")), current: true, createdAt: new Date() };
  const list = async () => [row];
  const authority = await openAuthority(keyRing(async (sealed) => openRow(masterKey, sealed), { list }));
  const [first, second] = [await authority.issue(["localhost"]), await authority.issue(["localhost"])];
  const credentials = new RenewableCredentials(first);
  const server = new Server();
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", credentials, (error, bound) => (error ? reject(error) : resolve(bound)));
  });
  const seen = () =>
    new Promise<string>((resolve, reject) => {
      const options = { host: "127.0.0.1", port, servername: "localhost", ca: authority.certificate, ALPNProtocols: ["h2"] };
      const socket = connect(options, () => resolve(socket.end().getPeerCertificate().serialNumber));
      socket.once("error", reject);
    });
  const before = await seen();
  credentials.renew(second);
  expect(await seen()).not.toBe(before);
  server.forceShutdown();
});
