import { expect, it } from "vitest";
import { z } from "zod";
import { respell } from "./keys.ts";

const Body = z.object({
  local_path: z.string().default(""),
  specs: z.object({ cpu: z.string().optional() }).optional(),
  operations: z.array(z.object({ group: z.string() })).default([]),
  metadata: z.record(z.string(), z.string()).optional(),
});

it("finds fields in any case, in nested objects and lists, and leaves free keys alone", () => {
  const sent = { Local_Path: "/x", SPECS: { CPU: "2" }, Operations: [{ GROUP: "state" }], metadata: { Key: "v" }, other: 1 };
  expect(respell(Body, sent)).toEqual({
    local_path: "/x",
    specs: { cpu: "2" },
    operations: [{ group: "state" }],
    metadata: { Key: "v" },
    other: 1,
  });
});

it("takes null for a field that was not sent", () => {
  expect(Body.parse(respell(Body, { local_path: null, specs: null }))).toEqual({ local_path: "", operations: [] });
});
