/**
 * TLS credentials of the gRPC server whose certificate can be replaced while it runs.
 *
 * The one idea: grpc-js knows how to swap a certificate but shows that only to subclasses, hence the one class here.
 */
import { ServerCredentials } from "@grpc/grpc-js";

export interface KeyPair {
  readonly certificate: string;
  readonly privateKey: string;
}

const context = ({ certificate, privateKey }: KeyPair) => ({ cert: certificate, key: privateKey, minVersion: "TLSv1.3" as const });

export class RenewableCredentials extends ServerCredentials {
  constructor(pair: KeyPair) {
    super({ requestCert: false }, context(pair));
  }
  renew(pair: KeyPair): void {
    this.updateSecureContextOptions(context(pair));
  }
  override _equals(other: ServerCredentials): boolean {
    return other === this;
  }
}
