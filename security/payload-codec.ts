/**
 * The Temporal payload codec: what workflows and activities say to each other is stored encrypted.
 *
 * The one idea: each payload names its key, so old histories stay readable after a rotation; what this codec did not encrypt passes untouched,
 * so that arguments sent in clear by the stock `temporal` command work.
 */
import type { PayloadCodec } from "@temporalio/common";
import proto, { type temporal } from "@temporalio/proto";
import { FaultError } from "../domain/errors.ts";
import { decrypt, encrypt } from "./cipher.ts";
import type { KeyRing } from "./key-ring.ts";

type Payload = temporal.api.common.v1.IPayload;
const { Payload } = proto.temporal.api.common.v1;

const encoding = "binary/encrypted";
const context = "temporal-payload";

export function payloadCodec(ring: KeyRing): PayloadCodec {
  return {
    encode: async (payloads) => {
      const key = await ring.current("payload");
      return payloads.map((payload) => encodeOne(key, payload));
    },
    decode: (payloads) => Promise.all(payloads.map((payload) => decodeOne(ring, payload))),
  };
}

function encodeOne({ id, secret }: { id: string; secret: Uint8Array }, payload: Payload): Payload {
  if (isEncrypted(payload) || isEmpty(payload)) return payload;
  const plain = Payload.encode(payload).finish();
  return { metadata: { encoding: Buffer.from(encoding), "encryption-key-id": Buffer.from(id) }, data: encrypt(secret, plain, context) };
}

async function decodeOne(ring: KeyRing, payload: Payload): Promise<Payload> {
  if (!isEncrypted(payload)) return payload;
  const id = Buffer.from(payload.metadata?.["encryption-key-id"] ?? []).toString();
  const key = await ring.find("payload", id);
  const plain = key && decrypt(key.secret, payload.data ?? new Uint8Array(), context);
  if (!plain)
    throw new FaultError({ code: "internal", message: `A payload was encrypted with the key ${id}, which this hub does not have.` });
  return Payload.decode(plain);
}

const encodingOf = ({ metadata }: Payload): string => Buffer.from(metadata?.["encoding"] ?? []).toString();
export const isEncrypted = (payload: Payload): boolean => encodingOf(payload) === encoding;
/** Nothing has nothing to hide: in clear, programs without the codec can read that there is no answer. */
const isEmpty = (payload: Payload): boolean => encodingOf(payload) === "binary/null" && !payload.data?.length;
