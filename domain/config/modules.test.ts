import { expect, it } from "vitest";
import { modules, modulesOf, type Module } from "./modules.ts";

it.each<[Module[], Module[]]>([
  [[...modules], [...modules]],
  [["host"], ["api", "host", "catalog_manager", "reverse_proxy", "cache"]],
  [
    ["orchestrator", "cors"],
    ["api", "orchestrator", "catalog_manager", "cors"],
  ],
  [["catalog"], ["api", "catalog"]],
  [
    ["catalog", "catalog_manager"],
    ["api", "catalog"],
  ],
  [
    ["catalog", "orchestrator"],
    ["api", "orchestrator", "catalog", "catalog_manager"],
  ],
  [["api"], ["api", "catalog_manager"]],
])("%j makes %j", (asked, on) => expect(modulesOf(asked)).toEqual(on));
