/**
 * What people and guests do to a bundle between two pushes, at random: written over, cut, grown, holes made, renamed, replaced, linked, with names in all scripts.
 *
 * Everything follows from the numbers that it is given, so a failure comes again with its seed.
 */
import {
  chmodSync,
  closeSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { chunkBytes } from "../../images/format.ts";
import { punchHole } from "../../images/native.ts";
import { fromSeed } from "./samples.ts";

/** Composed and not, right to left, joined emoji, beyond the first plane, what looks like another, white space, signs of shells. */
const oddNames = [
  "e\u0301",
  "é",
  "שלום",
  "👩‍👩‍👧",
  "𝒳",
  "ﬁle",
  "İı",
  " lead",
  "trail ",
  "a\u200bb",
  "$(x)",
  "'\"`",
  "%2e",
  "*?",
  "-rf",
  "名".repeat(80),
  "\u202eltr",
];

type Next = () => number;

/** A few edits of the bundle at `root`; `turn` keeps names apart. */
export function editTree(root: string, next: Next, turn: number): void {
  const edits = 2 + Math.floor(next() * 6);
  for (let n = 0; n < edits; n++) {
    const edit = pick(next, [
      writeOver,
      writeOver,
      cut,
      grow,
      makeHole,
      rename,
      remove,
      addFile,
      addFolder,
      addLink,
      changeMode,
      changeTime,
      swapKind,
    ]);
    edit(root, next, `${turn}.${n}`);
  }
}

const pick = <T>(next: Next, items: readonly T[]): T => items[Math.floor(next() * items.length)] as T;
const nameOf = (next: Next, tag: string) => `${tag}${pick(next, oddNames)}`;

/** All of one kind below the bundle, by path. */
function found(root: string, kind: "file" | "folder" | "any", at = ""): string[] {
  return readdirSync(join(root, at)).flatMap((name) => {
    const path = join(at, name);
    const stats = lstatSync(join(root, path));
    const own = kind === "any" || (kind === "file" ? stats.isFile() : stats.isDirectory()) ? [path] : [];
    return stats.isDirectory() ? [...own, ...found(root, kind, path)] : own;
  });
}

function onFile(root: string, next: Next, act: (path: string, size: number) => void): void {
  const files = found(root, "file");
  if (files.length === 0) return;
  const path = join(root, pick(next, files));
  const { mode, size } = lstatSync(path);
  chmodSync(path, 0o600);
  act(path, size);
  chmodSync(path, mode);
}

function writeOver(root: string, next: Next, tag: string): void {
  onFile(root, next, (path, size) => {
    const fd = openSync(path, "r+");
    const at = Math.floor(next() * size);
    const body = next() < 0.2 ? Buffer.alloc(chunkBytes) : fromSeed(`${tag} ${path.length}`, 1 + Math.floor(next() * 2 * chunkBytes));
    writeSync(fd, body, 0, body.byteLength, at);
    closeSync(fd);
  });
}

const cut = (root: string, next: Next): void => onFile(root, next, (path, size) => truncateSync(path, Math.floor(next() * size)));
const grow = (root: string, next: Next): void =>
  onFile(root, next, (path, size) => truncateSync(path, size + Math.floor(next() * 3_000_000)));

function makeHole(root: string, next: Next): void {
  onFile(root, next, (path, size) => {
    const fd = openSync(path, "r+");
    const at = Math.floor(next() * size);
    if (size > 0) punchHole(fd, at, Math.max(1, Math.floor(next() * (size - at))));
    closeSync(fd);
  });
}

function rename(root: string, next: Next, tag: string): void {
  const all = found(root, "any");
  if (all.length === 0) return;
  const from = pick(next, all);
  const folders = ["", ...found(root, "folder")].filter((folder) => folder !== from && !folder.startsWith(`${from}/`));
  const to = join(pick(next, folders), nameOf(next, tag));
  // A link keeps its own words: moved deeper or higher, they could lead out.
  if (!lstatSync(join(root, from)).isSymbolicLink() && !holdsLink(join(root, from))) renameSync(join(root, from), join(root, to));
}

const holdsLink = (path: string): boolean =>
  lstatSync(path).isDirectory() && readdirSync(path, { recursive: true, withFileTypes: true }).some((entry) => entry.isSymbolicLink());

function remove(root: string, next: Next): void {
  const all = found(root, "any");
  if (all.length > 3) rmSync(join(root, pick(next, all)), { recursive: true, force: true });
}

function addFile(root: string, next: Next, tag: string): void {
  const path = join(root, pick(next, ["", ...found(root, "folder")]), nameOf(next, tag));
  writeFileSync(path, fromSeed(tag, Math.floor(next() ** 3 * 3 * chunkBytes)));
}

function addFolder(root: string, next: Next, tag: string): void {
  mkdirSync(join(root, pick(next, ["", ...found(root, "folder")]), nameOf(next, tag)));
}

function addLink(root: string, next: Next, tag: string): void {
  symlinkSync(pick(next, [...found(root, "any"), "nowhere"]), join(root, nameOf(next, tag)));
}

function changeMode(root: string, next: Next): void {
  const files = found(root, "file");
  if (files.length > 0) chmodSync(join(root, pick(next, files)), pick(next, [0o400, 0o600, 0o644, 0o755]));
}

function changeTime(root: string, next: Next): void {
  const seconds = 1_400_000_000 + Math.floor(next() * 1e8) + Math.floor(next() * 1000) / 1000;
  const all = found(root, "any").filter((path) => !lstatSync(join(root, path)).isSymbolicLink());
  if (all.length > 0) utimesSync(join(root, pick(next, all)), seconds, seconds);
}

/** What was a file is a folder now, or the other way round. */
function swapKind(root: string, next: Next, tag: string): void {
  const all = found(root, "any");
  if (all.length === 0) return;
  const path = join(root, pick(next, all));
  const wasFolder = lstatSync(path).isDirectory();
  rmSync(path, { recursive: true, force: true });
  if (wasFolder) writeFileSync(path, fromSeed(tag, 1000));
  else mkdirSync(path);
}
