/**
 * Shows an operation that goes on: a bar on a terminal, lines elsewhere. Always on standard error.
 *
 * The one idea: both say the same, one step at a time, and a log gets at most one line per second and none without news.
 */
import cliProgress from "cli-progress";
import type { Context } from "../context.ts";
import type { OperationDetail } from "../wire.ts";
import { bytes, percent, rate, span } from "./format.ts";

export interface Watched {
  show(detail: OperationDetail): void;
  /** A sentence between what is shown. */
  say(text: string): void;
  end(): void;
}

/** A line per second is readable, and a log of a day's transfer stays under a hundred thousand lines. */
const lineEveryMs = 1_000;
const barWidth = 24;

export function watched(context: Context, clock: () => number = () => performance.now()): Watched {
  const { err } = context.streams;
  if (context.quiet) return { show: () => undefined, say: () => undefined, end: () => undefined };
  const view = err.isTTY === true ? bar(context) : lines(context, clock);
  // Under --json standard error is for a problem alone, unless a person looks at it.
  return context.json && err.isTTY !== true ? { ...view, show: () => undefined, say: () => undefined } : view;
}

type Step = OperationDetail["steps"][number];
const isOver = ({ state }: Step): boolean => state === "done" || state === "skipped" || state === "failed" || state === "cancelled";

/** How a step ended, told once each. */
function endings() {
  const told = new Set<string>();
  return ({ steps }: OperationDetail): string[] => {
    const fresh = steps.filter((step) => isOver(step) && !told.has(step.name));
    for (const { name } of fresh) told.add(name);
    return fresh.map(
      ({ name, state, startedAt, endedAt }) =>
        `${name}: ${state}${startedAt && endedAt ? `, ${span(endedAt.getTime() - startedAt.getTime())}` : ""}`,
    );
  };
}

const currentOf = ({ steps }: OperationDetail): Step | undefined => steps.find(({ state }) => state === "running" || state === "parked");

/** What goes on now, in one line. */
export function headline(detail: OperationDetail): string {
  const { state, progress, verb } = detail;
  const current = currentOf(detail);
  const name = current?.name ?? (state === "pending" ? "waiting for a worker" : verb);
  if (state === "cancelling") return "cancelling";
  if (current?.state === "parked") return `${name}: parked, ${current.fault?.message ?? "waits for an operator"}`;
  if (detail.nextAttempt?.fault) return `${name}: tried again, ${detail.nextAttempt.fault.message}`;
  const facts = factsOf(current ? current.progress : progress);
  return facts === "" ? name : `${name}: ${facts}`;
}

function factsOf(progress: OperationDetail["progress"]): string {
  if (!progress) return "";
  const { doneBytes, totalBytes, newBytes, bytesPerSecond, remainingMs, waitsFor } = progress;
  if (waitsFor) return `waits for ${waitsFor}`;
  return [
    totalBytes > 0 ? `${percent(doneBytes, totalBytes)} of ${bytes(totalBytes)}` : "",
    newBytes === undefined ? "" : `${bytes(newBytes)} new`,
    bytesPerSecond ? rate(bytesPerSecond) : "",
    typeof remainingMs === "number" ? `${span(remainingMs)} left` : "",
  ]
    .filter((fact) => fact !== "")
    .join(", ");
}

/** A step gets a line of its own once it lasts; a short one is told by its end alone. */
function lines({ streams: { err } }: Context, clock: () => number): Watched {
  const ended = endings();
  let step = "";
  let last = "";
  let lastAt = 0;
  return {
    show: (detail) => {
      for (const line of ended(detail)) err.write(`${line}\n`);
      const current = currentOf(detail)?.name ?? "";
      if (current !== step) [step, last, lastAt] = [current, "", clock()];
      const line = headline(detail);
      if (current === "" || line === last || clock() - lastAt < lineEveryMs) return;
      [last, lastAt] = [line, clock()];
      err.write(`${line}\n`);
    },
    say: (text) => void err.write(`${text}\n`),
    end: () => undefined,
  };
}

function bar({ streams: { err } }: Context): Watched {
  const ended = endings();
  let shown: cliProgress.SingleBar | null = null;
  const columns = () => Math.max(20, (err.columns || 80) - 1);
  const hide = () => {
    shown?.stop();
    shown = null;
  };
  const say = (text: string) => {
    hide();
    err.write(`${text}\n`);
  };
  const draw = (detail: OperationDetail) => {
    const current = currentOf(detail);
    if (!current && detail.state !== "pending") return hide();
    const progress = current?.progress;
    const [total, done] = [progress?.totalBytes ?? 0, progress?.doneBytes ?? 0];
    shown ??= started(err);
    shown.setTotal(Math.max(1, total));
    shown.update(done, { line: `${total > 0 ? `${blocks(done / total)} ` : ""}${headline(detail)}`.slice(0, columns()) });
  };
  return {
    show: (detail) => {
      for (const line of ended(detail)) say(line);
      draw(detail);
    },
    say,
    end: hide,
  };
}

/** cli-progress redraws at most so often and hides the cursor meanwhile; what a line says is ours. */
function started(stream: NodeJS.WritableStream): cliProgress.SingleBar {
  const made = new cliProgress.SingleBar({
    stream,
    clearOnComplete: true,
    hideCursor: true,
    fps: 5,
    linewrap: true,
    gracefulExit: false,
    format: (_options, _params, payload: { line?: string }) => payload.line ?? "",
  });
  made.start(1, 0, { line: "" });
  return made;
}

function blocks(share: number): string {
  const full = Math.round(Math.min(1, share) * barWidth);
  return `${"█".repeat(full)}${"░".repeat(barWidth - full)}`;
}
