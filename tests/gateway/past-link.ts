/** A host's request as its link would send it, once and without the link's patience. */
import type { HostIdentity } from "../../activities/host/hub-link.ts";
import { signHostToken } from "../../security/host-tokens.ts";
import type { Hub } from "./hub.ts";

export async function post(hub: Hub, identity: HostIdentity, path: string, value: unknown): Promise<{ status: number; body: unknown }> {
  const link = await hub.link({ ...identity, hubUrl: hub.gateway().url });
  const token = await signHostToken({ key: identity.privateKey, hostId: identity.hostId, hubId: identity.hubId, session: link.session });
  const headers = { "content-type": "application/json", authorization: `Bearer ${token}` };
  const answer = await link.send({ method: "POST", path, headers, body: Buffer.from(JSON.stringify(value)) });
  const parts: Buffer[] = [];
  for await (const part of answer) parts.push(part as Buffer);
  return { status: answer.statusCode ?? 0, body: JSON.parse(Buffer.concat(parts).toString()) as unknown };
}
