/**
 * One event as what a receiver gets: JSON for programs, a message for Slack, a letter for people. Pure.
 *
 * The one idea: each format is a template over the same event, so a new kind of receiver is a function here and nothing else.
 */
import type { Event } from "../events/schema.ts";

/** An event as rows of deliveries keep it. */
export interface ToldEvent extends Omit<Event, "at" | "number"> {
  /** Null: a test. */
  readonly number: number | null;
  readonly at: string;
}
export interface Told {
  readonly deliveryId: string;
  readonly webhook: string;
  readonly event: ToldEvent;
}

export const asJson = ({ deliveryId, webhook, event }: Told): string => JSON.stringify({ id: deliveryId, webhook, event });

/** The three characters that Slack reads as its own. */
const forSlack = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

export function asSlack({ event }: Told): string {
  const rows = factsOf(event).map(([name, value]) => `*${forSlack(name)}*: ${forSlack(value)}`);
  const section = {
    type: "section",
    text: { type: "mrkdwn", text: [`*${forSlack(titleOf(event))}*`, ...rows].join("\n").slice(0, mostSlack) },
  };
  return JSON.stringify({ text: forSlack(titleOf(event)), blocks: [section] });
}
/** What Slack takes in one section. */
const mostSlack = 3_000;

export interface Letter {
  readonly subject: string;
  readonly text: string;
}
export function asLetter({ webhook, deliveryId, event }: Told): Letter {
  const rows = factsOf(event).map(([name, value]) => `${name}: ${value}`);
  const foot = `Sent by Drover's webhook ${webhook}, delivery ${deliveryId}.`;
  return { subject: `[drover] ${titleOf(event)}`, text: [titleOf(event), "", ...rows, "", foot, ""].join("\n") };
}

/** A line for people: `machine.ready: ci-1`. */
export function titleOf({ name, body, subjectId }: ToldEvent): string {
  const about = [body["name"], body["subject"], body["image"]].find((value) => typeof value === "string");
  return oneLine(`${name}: ${String(about ?? subjectId)}`, 200);
}

const longestFact = 300;
function factsOf({ number, at, project, subjectId, operationId, body }: ToldEvent): Array<[string, string]> {
  const told = Object.entries(body).map(([name, value]): [string, string] => [
    name,
    oneLine(typeof value === "string" ? value : JSON.stringify(value), longestFact),
  ]);
  const about = Object.entries({ event: number, at, project, subject: subjectId, operation: operationId });
  return [...told, ...about.flatMap(([name, value]): Array<[string, string]> => (value === null ? [] : [[name, String(value)]]))];
}

function oneLine(text: string, longest: number): string {
  const line = text.replace(/\s+/g, " ");
  return line.length > longest ? `${line.slice(0, longest)}…` : line;
}
