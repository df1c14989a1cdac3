/** What the driver makes of everything that goes wrong with prlctl. */
import { rm } from "node:fs/promises";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { FaultError } from "../../domain/errors.ts";
import { calm, codeOf as code, eventually, simulatedMac, type Mac } from "./mac.ts";

// A call takes 40 ms, and twenty times that on a computer with much else to do.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let mac: Mac;
beforeAll(async () => void (mac = await simulatedMac()));
afterAll(() => mac.remove());
beforeEach(() => calm(mac));

describe("what goes wrong", () => {
  const faults: readonly (readonly [string, string, string])[] = [
    [
      "start",
      "Failed to start the VM: This product was activated for a limited period of time that has now expired. Purchase a new activation key",
      "licence_expired",
    ],
    ["start", "Login failed: Unable to connect to Parallels Service.", "prlctl_unavailable"],
    ["start", "The maximum supported number of active virtual machines has been reached.", "macos_limit"],
    [
      "start",
      "Unable to open new session in this virtual machine. Make sure your virtual machine has finished booting, runs the latest version of Parallels Tools",
      "tools_unavailable",
    ],
    [
      "start",
      "Failed to start the VM: The operation cannot be performed at the moment. Data synchronization is currently in progress. Try to perform the operation later.",
      "prlctl_busy",
    ],
    ["start", `Failed to start the VM: Unable to perform the operation because "x" is in the intermediate state.`, "machine_state"],
    ["start", "Failed to start the VM: Something that nobody has seen.", "prlctl_failed"],
  ];
  it.each(faults)("%s: %s -> %s", async (verb, stderr, expected) => {
    const id = (await mac.prlctl.find("faulty"))?.id ?? (await mac.machine("faulty"));
    mac.control({ faults: [{ verb, kind: "fail", stderr, times: 1 }] });
    const fault = await mac.prlctl.start(id).catch((error: unknown) => error);
    expect(fault).toBeInstanceOf(FaultError);
    expect((fault as FaultError).fault).toMatchObject({ code: expected, subject: id });
    expect((fault as FaultError).message).toContain(stderr);
    await mac.prlctl.start(id);
    await mac.prlctl.stop(id, { mode: "kill" });
  });

  it("tells a lost exit code as an unknown outcome, since the act happened", async () => {
    const id = await mac.machine("lost");
    const snapshotId = await mac.prlctl.snapshotCreate(id, { name: "one" });
    mac.control({ faults: [{ verb: "snapshot-delete", kind: "lost-exit-code", times: 1 }] });
    expect(await code(mac.prlctl.snapshotRemove(id, { snapshotId }))).toBe("outcome_unknown");
    expect(await mac.prlctl.snapshotList(id)).toEqual([]);
  });

  it("takes an error for one although the exit code is 0", async () => {
    const id = await mac.machine("resting");
    expect(await code(mac.prlctl.stop(id, { mode: "graceful" }))).toBe("machine_state");
    mac.control({ stopWhenStoppedExit: 255 });
    expect(await code(mac.prlctl.stop(id, { mode: "graceful" }))).toBe("machine_state");
  });

  it("kills what hangs, children and all, at the timeout and when the caller gives up", async () => {
    mac.control({ faults: [{ verb: "list", kind: "hang" }] });
    const hanging = () =>
      execFileSync("ps", ["-eo", "args"], { encoding: "utf8" })
        .split("\n")
        .filter((line) => line.includes("simulator/prlctl") && line.includes("list hung"));
    expect(await code(mac.prlctl.find("hung", { timeoutMs: 300 }))).toBe("prlctl_timeout");
    const giveUp = new AbortController();
    const found = mac.prlctl.find("hung", { signal: giveUp.signal });
    await eventually(async () => hanging().length > 0);
    giveUp.abort(new Error("given up"));
    await expect(found).rejects.toThrow("given up");
    await eventually(async () => hanging().length === 0);
    await expect(mac.prlctl.find("hung", { signal: giveUp.signal })).rejects.toThrow("given up");
  });

  it("says that prlctl is not there", async () => {
    const { openPrlctl } = await import("../../parallels/prlctl.ts");
    expect(await code(openPrlctl({ prlctlPath: "/nowhere/prlctl", prlsrvctlPath: "/nowhere/prlsrvctl" }).list())).toBe(
      "prlctl_unavailable",
    );
  });

  it("repairs what a list of all machines leaves out, and reads JSON behind noise", async () => {
    const id = await mac.machine("homeless");
    mac.control({ bulkHomeEmpty: true, noiseBeforeJson: true });
    const bulk = execFileSync(mac.prlctl.paths.prlctlPath, ["list", "-a", "-i", "--json"], { encoding: "utf8" });
    expect(bulk).toMatch(/^This feature is not available[^\n]*\n\[/);
    expect(bulk).toContain(`"Home": ""`);
    for (const bulkHomeEmpty of [true, "both"] as const) {
      mac.control({ bulkHomeEmpty });
      const info = (await mac.prlctl.inventory()).find((machine) => machine.id === id);
      expect(info).toMatchObject({
        bundlePath: join(mac.machines, "homeless.pvm"),
        raw: { Home: `${join(mac.machines, "homeless.pvm")}/` },
      });
    }
  });

  it("shows a machine whose bundle is gone as invalid, and lets it be forgotten only", async () => {
    const id = await mac.machine("hollow");
    await rm(join(mac.machines, "hollow.pvm"), { recursive: true });
    expect(await mac.prlctl.find(id)).toMatchObject({ state: "invalid", bundlePath: join(mac.machines, "hollow.pvm") });
    expect(await code(mac.prlctl.remove(id))).toBe("prlctl_failed");
    await mac.prlctl.unregister(id);
    expect(await mac.prlctl.find(id)).toBeNull();
  });
});
