/**
 * The three XML files of a bundle, read for the few facts that the engine needs.
 *
 * They come from anybody's disk: parsed without entities, of bounded size, and whatever is missing or no text is simply not known.
 */
import { readFile, stat } from "node:fs/promises";
import { XMLParser } from "fast-xml-parser";
import { isAbsent, onDisk } from "./files.ts";

/** Real ones have 30 KB; a hundred times that is no configuration any more. */
const limitBytes = 4 * 1024 * 1024;

const parser = new XMLParser({
  ignoreAttributes: false,
  attributeNamePrefix: "@",
  parseTagValue: false,
  processEntities: false,
  trimValues: true,
});

/** An element, with the ways into it. */
export interface Element {
  child(name: string): Element;
  children(name: string): Element[];
  /** The text at a path below, or `null` where there is none. */
  text(...path: string[]): string | null;
  attribute(name: string): string | null;
}

/** The root element of that name, or `null` when the file is missing or is no such document. */
export async function readXml(path: string, root: string): Promise<Element | null> {
  return onDisk(path, async () => {
    try {
      if ((await stat(path)).size > limitBytes) return null;
      const document: unknown = parsed(await readFile(path, "utf8"));
      return isRecord(document) && root in document ? element(document[root]) : null;
    } catch (error) {
      if (isAbsent(error)) return null;
      throw error;
    }
  });
}

function parsed(text: string): unknown {
  try {
    return parser.parse(text);
  } catch {
    return null; // No XML: as good as missing.
  }
}

function element(value: unknown): Element {
  const record = isRecord(value) ? value : {};
  const children = (name: string) => {
    const found = record[name];
    return (Array.isArray(found) ? found : found === undefined ? [] : [found]).map(element);
  };
  const child = (name: string) => children(name)[0] ?? element(null);
  return {
    child,
    children,
    text: (...path) => {
      const [name, ...rest] = path;
      if (name !== undefined) return child(name).text(...rest);
      const own = isRecord(value) ? record["#text"] : value;
      return typeof own === "string" && own !== "" ? own : null;
    },
    attribute: (name) => {
      const own = record[`@${name}`];
      return typeof own === "string" ? own : null;
    },
  };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
