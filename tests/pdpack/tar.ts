/** Writes tars that no tool would write: headers as they are told, with right checksums, and nothing corrected. */
import { createHash } from "node:crypto";
import type { ArchiveSource } from "../../images/pdpack/read-ahead.ts";

export interface TarPart {
  readonly name: string;
  /** As in the header: "0" file, "1" hard link, "2" link, "3" device, "5" folder, "6" pipe, "x" PAX, "L" long name. */
  readonly flag?: string;
  readonly content?: string | Uint8Array;
  readonly linkname?: string;
  readonly mode?: number;
  /** What the header tells; the content's own size without it. */
  readonly size?: number;
  readonly seconds?: number;
}

const blockBytes = 512;

export function tarOf(
  parts: readonly TarPart[],
  { trailer = true, padding = true }: { trailer?: boolean; padding?: boolean } = {},
): Buffer {
  const blocks = parts.flatMap((part, n) => {
    const content = Buffer.from(part.content ?? "");
    const last = n === parts.length - 1 && !padding;
    return [headerOf(part, content.byteLength), content, last ? Buffer.alloc(0) : Buffer.alloc(-content.byteLength & (blockBytes - 1))];
  });
  return Buffer.concat([...blocks, Buffer.alloc(trailer ? 2 * blockBytes : 0)]);
}

function headerOf({ name, flag = "0", linkname = "", mode = 0o644, size, seconds = 0 }: TarPart, bytes: number): Buffer {
  const header = Buffer.alloc(blockBytes);
  const octal = (value: number, at: number, digits: number) => header.write(`${value.toString(8).padStart(digits, "0")}\0`, at, "latin1");
  header.write(name, 0, 100, "utf8");
  octal(mode, 100, 7);
  octal(0, 108, 7);
  octal(0, 116, 7);
  octal(size ?? bytes, 124, 11);
  octal(seconds, 136, 11);
  header.write("        ", 148, "latin1");
  header.write(flag, 156, "latin1");
  header.write(linkname, 157, 100, "utf8");
  header.write("ustar\u000000", 257, "latin1");
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return header;
}

/** A PAX header for the entry after it. */
export function pax(words: Readonly<Record<string, string>>): TarPart {
  const content = Object.entries(words)
    .map(([key, value]) => {
      const rest = ` ${key}=${value}\n`;
      let length = Buffer.byteLength(rest) + 1;
      while (String(length).length + Buffer.byteLength(rest) !== length) length = String(length).length + Buffer.byteLength(rest);
      return `${length}${rest}`;
    })
    .join("");
  return { name: "pax", flag: "x", content };
}

export const md5Of = (bytes: Uint8Array): string => createHash("md5").update(bytes).digest("hex");

/** An archive in memory. `broken`: how many answers break off in their middle first. */
export function sourceOf(bytes: Buffer, { broken = 0, name = "x/x-arm64-1.pdpack" } = {}): ArchiveSource {
  let left = broken;
  return {
    name,
    bytes: bytes.byteLength,
    read: async ({ offsetBytes, lengthBytes }, signal) => {
      signal.throwIfAborted();
      const part = Uint8Array.from(bytes.subarray(offsetBytes, offsetBytes + lengthBytes));
      if (left-- <= 0) return new Blob([part]).stream();
      return new ReadableStream<Uint8Array>({
        pull: (controller) => {
          controller.enqueue(part.subarray(0, part.byteLength >> 1));
          controller.error(new Error("cut"));
        },
      });
    },
  };
}
