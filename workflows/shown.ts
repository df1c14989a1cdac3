/**
 * What the Temporal web UI shows of an operation: a summary beside every activity and timer, and the current details.
 *
 * The one idea: whoever knows only the web UI reads here which step runs, what it waits for and what to send. So it is never empty, also after the end,
 * and bounded, since each look at it carries it whole.
 */
import { setCurrentDetails, workflowInfo } from "@temporalio/workflow";
import { factsOf, type Fault } from "../domain/errors.ts";
import type { OperationInput, StepRecord } from "./records.ts";

/** A sentence or two; longer ones stand whole in the operation. */
const longestText = 400;
/** More than any verb has with both of its placements; earlier ones are told by their number. */
const mostSteps = 30;
const mostResults = 12;

/** Activities are scheduled one step after another, so what goes on stands in one place and needs no passing through. */
let doing = "";
let about = "";

/** From now on every activity says so. */
export function nameActivities(step: string, subject?: string): void {
  doing = step;
  if (subject !== undefined) about = subject;
}
export const summary = (subject?: string): string => oneLine(`${doing}: ${subject ?? about}`, 200);

/** What one step waits for. */
export interface Waits {
  readonly step: string;
  readonly fault: Fault;
  readonly words: readonly string[];
  readonly until: Date;
}

export interface Shown {
  step(record: StepRecord, fault?: Fault): void;
  waits(waiting: Waits): void;
  /** What goes on beside the steps, such as an undo. */
  says(sentence: string): void;
  ended(outcome: string, more: Fault | Readonly<Record<string, unknown>>): void;
}

export function openShown({ operationId, subject }: OperationInput): Shown {
  const { workflowId, workflowType } = workflowInfo();
  const [verb = workflowType, ...rest] = workflowId.split("/");
  const title = `${verb} ${subject ?? rest.slice(0, -1).join("/")}`;
  nameActivities(verb, subject ?? title);
  const steps = new Map<string, { position: number; line: string }>();
  const show = (state: string, ...more: string[]) => {
    const left = Math.max(0, steps.size - mostSteps);
    const inOrder = [...steps.values()].toSorted((a, b) => a.position - b.position).map(({ line }) => line);
    const lines = [...(left > 0 ? [`- ${left} earlier steps`] : []), ...inOrder.slice(left)];
    setCurrentDetails([`**${oneLine(title)}**: ${state}`, `Operation \`${operationId}\``, lines.join("\n"), ...more].join("\n\n"));
  };
  show("begins");
  return {
    step: ({ name, position, state }, fault) => {
      steps.set(name, { position, line: `- ${name}: ${state}${fault ? `, ${told(fault)}` : ""}` });
      show(state === "running" ? `${name} is running` : `${name} is ${state}`);
    },
    waits: ({ step, fault, words, until }) =>
      show(
        `**${step} waits for an operator**`,
        `${told(fault)}\n\n${factsOf(fault.code).remedy}`,
        `Then send ${words.map((word) => `\`${word}\``).join(" or ")}:\n\n${commands(operationId, words)}`,
        `Without a word it is aborted at ${until.toISOString()}, and what was done is taken back.`,
      ),
    says: (sentence) => show(oneLine(sentence)),
    ended: (outcome, more) => show(outcome, isFault(more) ? `${told(more)}\n\n${factsOf(more.code).remedy}` : results(more)),
  };
}

function commands(operationId: string, words: readonly string[]): string {
  const { workflowId, namespace } = workflowInfo();
  const ours = words.map((word) => `drover operation ${word} ${operationId}`);
  const [first = "retry"] = words;
  const stock = `temporal workflow update execute --namespace ${namespace} --workflow-id '${workflowId}' --name ${first}`;
  return [...ours, stock].map((line) => `    ${line}`).join("\n");
}

const told = ({ code, message }: Fault): string => `${oneLine(message)} (\`${code}\`)`;
const isFault = (value: object): value is Fault => "code" in value && "message" in value;

const results = (result: Readonly<Record<string, unknown>>): string =>
  Object.entries(result)
    .slice(0, mostResults)
    .map(([name, value]) => `- ${name}: ${oneLine(typeof value === "string" ? value : JSON.stringify(value))}`)
    .join("\n");

function oneLine(text: string, longest = longestText): string {
  const line = text.replace(/\s+/g, " ");
  return line.length > longest ? `${line.slice(0, longest)}…` : line;
}
