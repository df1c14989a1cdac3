/** What a client of the wire's event hub may say, and what it is answered: whether we live, and who it is. */
import { z } from "zod";
import { WireEventType, type Message } from "./wire.ts";

const Said = z.object({ id: z.string().optional(), event_type: WireEventType, message: z.string() });

export function answerTo(clientId: string, text: string): Message {
  const wrong: Message = { event_type: "global", message: "error", body: { error: "the message is not understood" }, client_id: clientId };
  const said = Said.safeParse(jsonIn(text));
  if (!said.success) return wrong;
  const { id, event_type, message } = said.data;
  const about = { event_type, client_id: clientId, ...(id === undefined ? {} : { ref_id: id }) };
  if (event_type === "health" && message === "ping") return { ...about, message: "pong" };
  if (event_type === "system" && message === "client-id") return { ...about, message, body: { "client-id": clientId } };
  return wrong;
}

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
