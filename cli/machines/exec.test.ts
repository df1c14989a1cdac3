/** Words become a script for the guest's shell without changing their meaning. */
import { execFileSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { quoted } from "./exec.ts";

describe("exec", () => {
  it.each([["plain"], ["two words"], ["it's"], ['$HOME `id` "x" \\'], ["line\nbreak"], [""], ["*"], ["--flag=a b"], ["ü 机器"]])(
    "hands %j to a shell as one word",
    (word) => {
      const script = `printf '%s' ${quoted(word)}`;
      expect(execFileSync("/bin/sh", ["-c", script], { encoding: "utf8" })).toBe(word);
    },
  );

  it("leaves plain words as they are, for shells that quote in another way", () =>
    expect(["ls", "-la", "/etc/hosts", "a=b,c"].map(quoted).join(" ")).toBe("ls -la /etc/hosts a=b,c"));
});
