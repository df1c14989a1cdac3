/**
 * Encrypts what hosts send to Temporal and decrypts what they receive, so that hosts hold no payload key.
 *
 * The one idea: the SDK's own visitor walks every payload of a message; failures get their message and stack hidden first, exactly as the
 * SDK's failure converter does it with `encodeCommonAttributes`.
 */
import type { Payload, PayloadCodec } from "@temporalio/common";
import visitor from "@temporalio/common/lib/internal-non-workflow/payload-visitor.js";
import type { temporal } from "@temporalio/proto";
import { FaultError } from "../domain/errors.ts";
import { isEncrypted } from "../security/payload-codec.ts";

type Failure = temporal.api.failure.v1.IFailure;
type Walk<Message> = Parameters<typeof visitor.visit<Message>>[1];

/** What the server shows instead; the SDK's own words. */
const hiddenMessage = "Encoded failure";

export interface PayloadBorder {
  /** Decrypts in place. */
  toHost<Message>(message: Message, walk: Walk<Message>): Promise<void>;
  /** Encrypts in place. */
  fromHost<Message>(message: Message, walk: Walk<Message>): Promise<void>;
}

export function payloadBorder(codec: PayloadCodec): PayloadBorder {
  const through = <Message>(message: Message, walk: Walk<Message>, act: (payloads: Payload[]) => Promise<Payload[]>) =>
    visitor.visit(message, walk, {
      transformPayload: async (payload) => (await act([payload]))[0] ?? payload,
      transformPayloads: (payloads) => act(payloads),
      // They are indexed by the server and never secret.
      skipSearchAttributes: true,
    });
  return {
    toHost: (message, walk) => through(message, walk, (payloads) => codec.decode(payloads)),
    fromHost: (message, walk) => through(message, walk, (payloads) => codec.encode(payloads.map(inClear))),
  };
}

/** What comes from a host encrypted is not its own: it would be opened for it the next time that it polls. */
function inClear(payload: Payload): Payload {
  if (!isEncrypted(payload)) return payload;
  throw new FaultError({ code: "invalid_request", message: "A host holds no payload key, so it sends nothing encrypted." });
}

/** Moves message and stack of a failure and of its causes into a payload, which is then encrypted like any other. */
export function hideAttributes(failure: Failure): void {
  const { message, stackTrace } = failure;
  if (!failure.encodedAttributes) {
    const data = Buffer.from(JSON.stringify({ message: message ?? "", stack_trace: stackTrace ?? "" }));
    failure.encodedAttributes = { metadata: { encoding: Buffer.from("json/plain") }, data };
  }
  failure.message = hiddenMessage;
  failure.stackTrace = "";
  if (failure.cause) hideAttributes(failure.cause);
}
