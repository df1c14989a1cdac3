/**
 * Which events a webhook is for, when a delivery is tried again, and which parts of an address may be shown. Pure.
 *
 * The one idea: a delivery that fails is tried for about a day, at first soon and then seldom, and is dead after that until somebody asks for it again.
 */
export const webhookKinds = ["http", "slack", "email"] as const;
export type WebhookKind = (typeof webhookKinds)[number];

export const deliveryStates = ["pending", "delivered", "dead"] as const;
export type DeliveryState = (typeof deliveryStates)[number];

const [minuteMs, hourMs] = [60_000, 3_600_000];
/** What comes after each failed attempt: ten attempts over 26 hours, so that a receiver which is down for a day misses nothing. */
export const pausesMs: readonly number[] = [
  5_000,
  30_000,
  2 * minuteMs,
  10 * minuteMs,
  30 * minuteMs,
  hourMs,
  3 * hourMs,
  6 * hourMs,
  15 * hourMs,
];

/** How long after the attempt of this number (from 1) the next one comes; null: there is none. */
export const pauseAfterMs = (attempt: number): number | null => pausesMs[attempt - 1] ?? null;

/** `*`, `machine.*` or `operation.failed`; one that fits is enough. */
export const wantsEvent = (patterns: readonly string[], name: string): boolean =>
  patterns.some((pattern) => pattern === "*" || pattern === name || (pattern.endsWith(".*") && name.startsWith(pattern.slice(0, -1))));

/** Whoever knows the path of a webhook may often write to it, so only where it leads is shown. */
export function shownAddress(address: string): string {
  const url = URL.parse(address);
  if (!url) return "";
  const more = url.pathname.length > 1 || url.search !== "" ? "/***" : "";
  return `${url.protocol}//${url.host}${more}`;
}

export interface WebhookNamed {
  readonly id: string;
  readonly deliveryId: string;
  readonly round: number;
}
/** One workflow per round of a delivery: started twice, it is one. */
export const deliveryWorkflowId = ({ id, deliveryId, round }: WebhookNamed): string => `deliver/${id}/${deliveryId}.${round}`;
