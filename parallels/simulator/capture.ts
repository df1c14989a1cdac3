/** `prlctl capture`: a real, small PNG whose colour follows from the machine, so two machines have two pictures. */
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { crc32, deflateSync } from "node:zlib";
import { parseArguments } from "./arguments.ts";
import { machineNamed, say, type Command } from "./command.ts";
import { failure } from "./failure.ts";
import { stateOf } from "./machine.ts";

const width = 64;
const height = 40;

export function capture(command: Command): void {
  const parsed = parseArguments(command.argv, { file: "value" });
  const machine = machineNamed(command, parsed.words[0]);
  const state = stateOf(machine, Date.now());
  if (state !== "running" && state !== "paused")
    throw failure(`Failed to take the screenshot: Unable to perform the operation because "${machine.name}" is not started.`);
  const png = picture(createHash("sha256").update(machine.id).digest());
  const file = parsed.value("file");
  if (file === null) return void process.stdout.write(png);
  writeFileSync(file, png);
  say("The screenshot has been saved.\n");
}

function picture(colours: Buffer): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2], 8); // Eight bits per channel, three channels.
  const rows = Array.from({ length: height }, (_, row) => {
    const colour = colours.subarray((row >> 3) * 3, (row >> 3) * 3 + 3);
    return Buffer.concat([Buffer.alloc(1), ...Array.from({ length: width }, () => colour)]);
  });
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([signature, block("IHDR", header), block("IDAT", deflateSync(Buffer.concat(rows))), block("IEND", Buffer.alloc(0))]);
}

function block(kind: string, content: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(kind, "latin1"), content]);
  const frame = Buffer.alloc(8);
  frame.writeUInt32BE(content.length, 0);
  frame.writeUInt32BE(crc32(body), 4);
  return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)]);
}
