/** Which addresses the hub connects to when a caller names them. */
import { describe, expect, it } from "vitest";
import { mayReach } from "./outbound.ts";

describe("addresses", () => {
  it.each([
    "127.0.0.1",
    "127.9.9.9",
    "::1",
    "::ffff:127.0.0.1",
    "0.0.0.0",
    "169.254.169.254",
    "fe80::1",
    "224.0.0.1",
    "64:ff9b::7f00:1",
    "255.255.255.255",
  ])("%s is reached by nobody who did not say so", (address) =>
    expect([mayReach(address, "public"), mayReach(address, "private"), mayReach(address, "any")]).toEqual([false, false, true]),
  );
  it.each(["10.0.0.5", "192.168.1.1", "172.20.0.1", "100.64.0.1", "fd12::1", "::ffff:10.0.0.5"])(
    "%s is reached for whoever may name private ones",
    (address) => expect([mayReach(address, "public"), mayReach(address, "private")]).toEqual([false, true]),
  );
  it.each(["8.8.8.8", "2606:4700::1111"])("%s is reached for all", (address) => expect(mayReach(address, "public")).toBe(true));
});
