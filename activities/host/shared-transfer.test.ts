/** Guarantees of shared transfers: one runs however many want it, and it ends when the last of them left. */
import { describe, expect, it } from "vitest";
import { openSharedTransfers, type Transfer } from "./shared-transfer.ts";

const member = (operationId: string, signal = new AbortController().signal) => ({ operationId, signal, onProgress: () => {} });

describe("shared transfers", () => {
  it("begins one transfer for ten operations and answers them all", async () => {
    const shared = openSharedTransfers<string, number>();
    let begun = 0;
    const gate = Promise.withResolvers<void>();
    const begin = async () => {
      begun += 1;
      await gate.promise;
      return "done";
    };
    const ten = Array.from({ length: 10 }, (_, n) => shared.join("image", member(`op-${n}`), begin));
    gate.resolve();
    expect(new Set(await Promise.all(ten))).toEqual(new Set(["done"]));
    expect({ begun, left: shared.isRunning("image") }).toEqual({ begun: 1, left: false });
  });

  it("goes on under another's name when the operation that began it leaves", async () => {
    const shared = openSharedTransfers<string, number>();
    const gate = Promise.withResolvers<void>();
    let transfer: Transfer<number> | undefined;
    const begin = async (own: Transfer<number>) => {
      transfer = own;
      await gate.promise;
      return "done";
    };
    const leaving = new AbortController();
    const first = shared.join("image", member("first", leaving.signal), begin);
    const second = shared.join("image", member("second"), begin);
    leaving.abort(new Error("cancelled"));
    await expect(first).rejects.toThrow("cancelled");
    expect({ aborted: transfer?.signal.aborted, by: transfer?.operationId() }).toEqual({ aborted: false, by: "second" });
    gate.resolve();
    expect(await second).toBe("done");
  });

  it("is aborted when the last one leaves, and can be begun again", async () => {
    const shared = openSharedTransfers<string, number>();
    const leaving = new AbortController();
    const untilAborted = ({ signal }: Transfer<number>) =>
      new Promise<string>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    const only = shared.join("image", member("only", leaving.signal), untilAborted);
    leaving.abort(new Error("cancelled"));
    await expect(only).rejects.toThrow("cancelled");
    expect(shared.isRunning("image")).toBe(false);
    expect(await shared.join("image", member("next"), async () => "done")).toBe("done");
  });
});
