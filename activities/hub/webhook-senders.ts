/**
 * How events leave the hub: signed requests, messages for Slack, letters.
 *
 * The one idea: what the receiver says is a stranger's text. It is given ten seconds and some bytes, no redirect of its is followed, and of its answer only
 * the beginning is kept, without what we must not write down.
 */
import { createHmac } from "node:crypto";
import { createTransport, type Transporter } from "nodemailer";
import { FaultError } from "../../domain/errors.ts";
import { asJson, asLetter, asSlack, type Told } from "../../domain/webhooks/formats.ts";
import type { WebhookKind } from "../../domain/webhooks/rules.ts";
import { networksOf, outbound, type Networks } from "../../security/outbound.ts";

export interface Sending {
  readonly kind: WebhookKind;
  readonly url: string | null;
  /** The newest first; each signs. */
  readonly secrets: readonly string[];
  readonly recipients: readonly string[];
  readonly told: Told;
}
export interface Sent {
  readonly delivered: boolean;
  readonly status: number | null;
  readonly problem: string | null;
  readonly snippet: string | null;
  /** Trying again would change nothing. */
  readonly isFinal: boolean;
}

export interface SenderSettings {
  /** Networks that may be reached although they are not public, in CIDR notation. */
  readonly allow: readonly string[];
  readonly smtp: { readonly url: string; readonly from: string } | null;
}

/** Who takes longer should take the event first and work afterwards. */
const limitMs = 10_000;
const mostBytes = 16 * 1024;
const snippetLength = 500;

export function webhookSenders({ allow, smtp }: SenderSettings): (sending: Sending) => Promise<Sent> {
  const also = networksOf(allow);
  let transport: Transporter | null = null;
  return async (sending) => {
    if (sending.kind !== "email") return post(sending, also);
    if (!smtp) return failed({ problem: "No SMTP server is set: DROVER_SMTP_URL and DROVER_SMTP_FROM name one.", isFinal: true });
    transport ??= createTransport(smtp.url, {
      connectionTimeout: limitMs,
      greetingTimeout: limitMs,
      socketTimeout: limitMs,
      disableFileAccess: true,
      disableUrlAccess: true,
    } as Parameters<typeof createTransport>[1]);
    return mail(transport, smtp.from, sending);
  };
}

const failed = ({ status = null, problem, snippet = null, isFinal = false }: Partial<Sent> & { problem: string }): Sent => ({
  delivered: false,
  status,
  problem,
  snippet,
  isFinal,
});

/** `t.body`, so that an old request cannot be sent again as a new one. */
export const signatureOf = (secret: string, timestamp: number, body: string): string =>
  createHmac("sha256", secret).update(`${timestamp}.${body}`).digest("hex");

async function post({ kind, url, secrets, told }: Sending, also: Networks): Promise<Sent> {
  const target = url === null ? null : URL.parse(url);
  if (!target) return failed({ problem: "The webhook has no address.", isFinal: true });
  const body = kind === "slack" ? asSlack(told) : asJson(told);
  const timestamp = Math.floor(Date.now() / 1000);
  const signatures = secrets.map((secret) => `v1=${signatureOf(secret, timestamp, body)}`).join(",");
  const headers = {
    "Content-Type": "application/json",
    "Content-Length": String(Buffer.byteLength(body)),
    "User-Agent": "drover-webhook/1",
    "Drover-Webhook-Id": told.deliveryId,
    "Drover-Webhook-Event": told.event.name,
    "Drover-Webhook-Timestamp": String(timestamp),
    ...(signatures === "" ? {} : { "Drover-Webhook-Signature": signatures }),
  };
  const signal = AbortSignal.timeout(limitMs);
  try {
    const { status, body: answer } = await outbound(target, { method: "POST", headers, body, reach: "public", also, signal });
    const snippet = hidden(await beginning(answer), [target.pathname + target.search, ...secrets]);
    if (status >= 200 && status < 300) return { delivered: true, status, problem: null, snippet, isFinal: false };
    const redirects = status >= 300 && status < 400;
    return failed({
      status,
      snippet,
      problem: redirects ? "It answers with a redirect, and none is followed." : `It answers with ${status}.`,
    });
  } catch (error) {
    if (error instanceof FaultError) return failed({ problem: error.fault.message, isFinal: error.fault.code === "address_forbidden" });
    return failed({
      problem: signal.aborted ? `It did not answer within ${limitMs / 1000} s.` : `It cannot be reached: ${codeOf(error)}.`,
    });
  }
}

/** Words of others may quote what was sent; their codes do not. */
const codeOf = (error: unknown): string => {
  const { code } = (error ?? {}) as { code?: unknown };
  return typeof code === "string" ? code : "the connection failed";
};

/** As much as is worth keeping; the rest is not read. */
async function beginning(answer: AsyncIterable<Uint8Array> & { destroy(): unknown }): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of answer) {
    parts.push(part);
    bytes += part.byteLength;
    if (bytes >= mostBytes) break;
  }
  answer.destroy();
  return Buffer.concat(parts).toString("utf8");
}

/** PostgreSQL stores no zero character. */
function hidden(text: string, secrets: readonly string[]): string | null {
  const plain = text.replaceAll("\0", "");
  const without = secrets.filter((secret) => secret.length > 1).reduce((left, secret) => left.replaceAll(secret, "***"), plain);
  return without === "" ? null : without.slice(0, snippetLength);
}

async function mail(transport: Transporter, from: string, { recipients, told }: Sending): Promise<Sent> {
  const { subject, text } = asLetter(told);
  // The same letter twice has the same id, by which mail programs know it.
  const messageId = `<${told.deliveryId}@drover>`;
  try {
    const sent: unknown = await transport.sendMail({
      from,
      to: [...recipients],
      subject,
      text,
      messageId,
      headers: { "X-Drover-Event": told.event.name },
    });
    const { response, rejected } = sent as { response?: string; rejected?: unknown[] };
    const problem = rejected && rejected.length > 0 ? `${rejected.length} of ${recipients.length} recipients were refused.` : null;
    return { delivered: true, status: 250, problem, snippet: response?.slice(0, snippetLength) ?? null, isFinal: false };
  } catch (error) {
    const { responseCode } = (error ?? {}) as { responseCode?: unknown };
    const status = typeof responseCode === "number" ? responseCode : null;
    return failed({
      status,
      problem: status === null ? `The SMTP server cannot be reached: ${codeOf(error)}.` : `The SMTP server answers with ${status}.`,
    });
  }
}
