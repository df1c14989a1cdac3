import { createHmac } from "node:crypto";
import { expect, it } from "vitest";
import { keysOf } from "./known-hosts.ts";

const salt = Buffer.from("twenty bytes of salt").toString("base64");
const hashed = (name: string) => `|1|${salt}|${createHmac("sha1", Buffer.from(salt, "base64")).update(name).digest("base64")}`;
const file = `
# a comment
mac-1,192.168.1.5 ssh-ed25519 AAAA1 someone
[mac-1]:2222 ssh-ed25519 AAAA2
*.lan,!bad.lan ssh-rsa AAAA3
${hashed("mac-9")} ssh-ed25519 AAAA4
@revoked mac-1 ssh-ed25519 AAAA5
@cert-authority *.lan ssh-ed25519 AAAA6
mac-8 ssh-ed25519
`;

it.each([
  ["mac-1", 22, ["AAAA1"], ["AAAA5"]],
  ["MAC-1", 22, ["AAAA1"], ["AAAA5"]],
  ["mac-1", 2222, ["AAAA2"], []],
  ["192.168.1.5", 22, ["AAAA1"], []],
  ["good.lan", 22, ["AAAA3"], []],
  ["bad.lan", 22, [], []],
  ["xlan", 22, [], []],
  ["mac-9", 22, ["AAAA4"], []],
  ["mac-8", 22, [], []],
])("%s at port %i is known by %j", (host, port, known, revoked) => expect(keysOf(file, host, port)).toEqual({ known, revoked }));
