/** Where a request is said to come from, by whom, and who is believed. */
import { IncomingMessage } from "node:http";
import { Socket } from "node:net";
import { Hono } from "hono";
import { expect, it } from "vitest";
import { networkOf, sources, type ProxySettings } from "./source.ts";

/** What the API takes for the client's address when `peer` sends this header. */
async function seen(peer: string, sent: string | null, { trusted = ["10.0.0.0/8", "fd00::/8"], header = "x-forwarded-for" } = {}) {
  const sourceOf = sources({ trusted, header } as ProxySettings);
  const incoming = new IncomingMessage(Object.defineProperty(new Socket(), "remoteAddress", { value: peer }));
  const app = new Hono().get("/", (c) => c.text(sourceOf(c)));
  return (await app.request("/", { headers: sent === null ? {} : { [header]: sent } }, { incoming })).text();
}

it.each([
  ["nothing sent", "10.0.0.1", null, "10.0.0.1"],
  ["one proxy", "10.0.0.1", "203.0.113.7", "203.0.113.7"],
  ["two proxies", "10.0.0.1", "203.0.113.7, 10.0.0.2", "203.0.113.7"],
  ["what the client wrote itself", "10.0.0.1", "127.0.0.1, 10.9.9.9, 198.51.100.1, 203.0.113.7", "203.0.113.7"],
  ["somebody who is no proxy of ours", "198.51.100.9", "203.0.113.7", "198.51.100.9"],
  ["a client among the proxies", "10.0.0.1", "10.0.0.7, 10.0.0.2", "10.0.0.7"],
  ["a port behind the address", "10.0.0.1", "203.0.113.7:51012", "203.0.113.7"],
  ["version 6", "fd00::1", "2001:DB8::7", "2001:db8::7"],
  ["version 6 with a port", "10.0.0.1", "[2001:db8::7]:443", "2001:db8::7"],
  ["version 6 spelt otherwise", "fd00::1", "2001:0DB8:0:0:0:0:0:7", "2001:db8::7"],
  ["version 4 in the words of version 6", "fd00::1", "::ffff:cb00:7107", "203.0.113.7"],
  ["version 4 on a socket of version 6", "::ffff:10.0.0.1", "::ffff:203.0.113.7", "203.0.113.7"],
  ["what is no address", "10.0.0.1", "203.0.113.7, unknown", "10.0.0.1"],
  ["an empty header", "10.0.0.1", "", "10.0.0.1"],
])("X-Forwarded-For: %s", async (_, peer, sent, expected) => {
  expect(await seen(peer, sent)).toBe(expected);
});

it.each([
  ["for=203.0.113.7;proto=https;by=10.0.0.1", "203.0.113.7"],
  ['for=10.1.1.1, For="[2001:db8:cafe::17]:4711"', "2001:db8:cafe::17"],
  ["for=203.0.113.7, proto=http;for=10.0.0.3", "203.0.113.7"],
  ["for=203.0.113.7, for=_hidden", "10.0.0.1"],
  ["for=203.0.113.7, proto=https", "10.0.0.1"],
])("Forwarded: %s", async (sent, expected) => {
  expect(await seen("10.0.0.1", sent, { header: "forwarded" })).toBe(expected);
});

it.each([
  ["203.0.113.7", "203.0.113.7"],
  ["2001:db8:1:2:a:b:c:d", "2001:db8:1:2::/64"],
  ["2001:DB8:0001:2::9", "2001:db8:1:2::/64"],
  ["2001:db8::9", "2001:db8:0:0::/64"],
  ["2001:db8:0:0:5::9", "2001:db8:0:0::/64"],
  ["2001:db8:1:2:3:4:192.0.2.1", "2001:db8:1:2::/64"],
  ["::1", "0:0:0:0::/64"],
  ["fe80::1%eth0", "fe80:0:0:0::/64"],
  ["::ffff:203.0.113.7", "203.0.113.7"],
  ["::FFFF:cb00:7107", "203.0.113.7"],
  ["unknown", "unknown"],
])("counts %s as %s", (address, network) => {
  expect(networkOf(address)).toBe(network);
});

it("believes nobody where no proxy is named", async () => {
  expect(await seen("10.0.0.1", "203.0.113.7", { trusted: [] })).toBe("10.0.0.1");
});
