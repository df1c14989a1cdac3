/**
 * Texts that callers gave or that their scripts wrote, sealed for the rows that keep them.
 *
 * The one idea: nobody can tell a secret from a text that has one in it, so the hub keeps neither in clear; each is bound to its own row.
 */
import { ManagerCredentials } from "../domain/catalog/managers.ts";
import type { Sealer } from "./sealing.ts";

/** Where a line of a script's output stands. */
interface LinePlace {
  readonly operationId: string;
  readonly fence: number;
  readonly line: number;
}

export const outputSeal = (sealer: Sealer) => ({
  close: (place: LinePlace, text: string): Promise<Uint8Array> => sealer.seal(text, outputContext(place)),
  open: (place: LinePlace, sealed: Uint8Array): Promise<string> => sealer.open<string>(sealed, outputContext(place)),
});

export const userConfigSeal = (sealer: Sealer) => ({
  close: (userId: string, slug: string, value: string): Promise<Uint8Array> => sealer.seal(value, userConfigContext(userId, slug)),
  open: (userId: string, slug: string, sealed: Uint8Array): Promise<string> => sealer.open<string>(sealed, userConfigContext(userId, slug)),
});

/** A proxy host's certificate and key. */
export const proxyTlsSeal = <Pair>(sealer: Sealer) => ({
  close: (proxyHostId: string, pair: Pair): Promise<Uint8Array> => sealer.seal(pair, proxyTlsContext(proxyHostId)),
  open: (proxyHostId: string, sealed: Uint8Array): Promise<Pair> => sealer.open<Pair>(sealed, proxyTlsContext(proxyHostId)),
});

/** How a catalog manager is known to the other catalog. */
export const managerSeal = (sealer: Sealer) => ({
  close: (managerId: string, credentials: ManagerCredentials): Promise<Uint8Array> => sealer.seal(credentials, managerContext(managerId)),
  open: async (managerId: string, sealed: Uint8Array): Promise<ManagerCredentials> =>
    ManagerCredentials.parse(await sealer.open(sealed, managerContext(managerId))),
});

/** Where a webhook leads and what signs what it sends. */
export interface WebhookTarget {
  readonly url: string | null;
  readonly secret: string | null;
  readonly previousSecret: string | null;
}
export const webhookSeal = (sealer: Sealer) => ({
  close: (webhookId: string, target: WebhookTarget): Promise<Uint8Array> => sealer.seal(target, webhookContext(webhookId)),
  open: (webhookId: string, sealed: Uint8Array): Promise<WebhookTarget> => sealer.open<WebhookTarget>(sealed, webhookContext(webhookId)),
});

const outputContext = ({ operationId, fence, line }: LinePlace) => `output:${operationId}:${fence}:${line}`;
const userConfigContext = (userId: string, slug: string) => `user-config:${userId}:${slug}`;
const webhookContext = (webhookId: string) => `webhook:${webhookId}`;
const proxyTlsContext = (proxyHostId: string) => `proxy-tls:${proxyHostId}`;
const managerContext = (managerId: string) => `catalog-manager:${managerId}`;
