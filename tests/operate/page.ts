/**
 * Holds `docs/operate.md` to what really appears: an output that a test met must stand in the section about its symptom.
 *
 * The one idea: what differs from run to run (ids, times, sizes, ports, folders) is replaced by its kind on both sides, the rest is compared line by line.
 */
import { readFileSync } from "node:fs";

const page = new URL("../../docs/operate.md", import.meta.url);

/** What is replaced, in this order: what is longer or may hold the others comes first. */
const kinds: ReadonlyArray<readonly [RegExp, string]> = [
  // oxlint-disable-next-line no-control-regex -- The escape character begins a colour.
  [/\u001B\[[\d;]*m/g, ""],
  [/\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?/g, "<time>"],
  [/[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}/g, "<id>"],
  [/\b[\da-f]{40,64}\b/g, "<hash>"],
  [/\bs3:\/\/[^\s"'`]+/g, "<location>"],
  [/\bdefault-[\da-f]{8}\b/g, "default-<id>"],
  [/\bhttps?:\/\/[^\s/"'`]+/g, "<url>"],
  [/\/namespaces\/[^/\s]+/g, "/namespaces/<namespace>"],
  [/(?<![\w.>-])(?:\/[\w.@%+~-]+)+\//g, "<folder>/"],
  [/\d+(\.\d+)? (B|[KMGTP]iB)\/s/g, "<rate>"],
  [/\d+(\.\d+)? (B|[KMGTP]iB)\b/g, "<size>"],
  [/\d+(\.\d+)? (ms|s|min|h|d)( \d+ (s|min|h))?\b/g, "<span>"],
  [/(\d+ (seconds?|minutes?|hours?) ago|\bnow)\s*$/g, "<span> ago"],
  [/\d+ ?%/g, "<share>"],
  [/\b\d+(\.\d+)?[KMGT]\b/g, "<size>"],
  [/:\d{4,5}\b/g, ":<port>"],
  // Chunks travel side by side: which one is met first differs.
  [/its bytes at \d+ are not the chunk that "[^"]*" needs/g, "its bytes at <number> are not the chunk that <file> needs"],
  [/\b\d{3,}\b/g, "<number>"],
  [/\s+/g, " "],
];

/** Fails unless the section's fenced blocks hold these lines, one after the other. Blank lines do not count. */
export function expectOnPage(section: string, output: string): void {
  const wanted = normalised(output);
  if (blocksOf(section).some((block) => holds(normalised(block), wanted))) return;
  const found = blocksOf(section).map(normalised);
  const [first = ""] = wanted;
  const near = found.find((block) => block.includes(first)) ?? found.flat();
  const lines = wanted.map((line) => `${near.includes(line) ? " " : "+"} ${line}`).join("\n");
  throw new Error(`docs/operate.md, "${section}", does not show what appears (+ is not there):\n${lines}\n\nAs it appeared:\n${output}`);
}

function normalised(text: string): string[] {
  const replaced = text.split("\n").map((line) => kinds.reduce((told, [kind, word]) => told.replace(kind, word), line).trim());
  return replaced.filter((line) => line !== "");
}

function holds(block: readonly string[], wanted: readonly string[]): boolean {
  return block.some((_line, at) => wanted.every((line, offset) => block[at + offset] === line));
}

function blocksOf(section: string): string[] {
  const [, ...sections] = readFileSync(page, "utf8").split(/^## /m);
  const own = sections.find((text) => text.startsWith(`${section}\n`));
  if (own === undefined) throw new Error(`docs/operate.md has no section "${section}".`);
  return [...own.matchAll(/^```[^\n]*\n([\s\S]*?)^```/gm)].map(([, block = ""]) => block);
}
