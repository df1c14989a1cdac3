/** `drover image import|export`, as they are declared. */
import type { Declaration } from "../declare.ts";

export const importDeclaration: Declaration = {
  usage: "import [image]",
  summary: "Bring images of the Parallels DevOps service into the catalog",
  options: [
    ["--store <store>", "the store that holds them (name or id); the default store without it"],
    ["--list", "only show what the store holds"],
    ["--all", "import everything that the catalog does not have yet"],
    ["--arch <architecture>", "arm64 or x86_64"],
    ["--convert", "bring the bytes into Drover's own format too"],
    ["--host <host>", "the host that converts (name or id); the only host without it"],
    ["--to-store <store>", "where converted bytes go (name or id); the default store without it"],
    ["--replace", "point an existing version to this archive"],
    ["--archive <key>", "an archive without a manifest: its path in the store"],
    ["--kind <kind>", "of that archive: pvm or macvm"],
    ["--size <size>", "about what its files have together, such as 60GB"],
    ["--tag <tag>", "of that archive; may be given several times", "several"],
    ["--description <text>", "of that archive"],
  ],
  waits: true,
  examples: [
    "drover image import --list --store old-catalog",
    "drover image import ubuntu:24.04 --store old-catalog",
    "drover image import --all --store old-catalog",
    "drover image import ubuntu:24.04/arm64 --store old-catalog --convert --host mac-1",
  ],
  run: async () => (await import("./import.ts")).importImages,
};

export const exportDeclaration: Declaration = {
  usage: "export <image>",
  summary: "Write an image as the Parallels DevOps service keeps it",
  options: [
    ["--format <format>", "pdpack, the only one there is (pdpack)"],
    ["--store <store>", "the store to write it to (name or id)"],
    ["--to <folder>", "a folder on the hub's computer instead"],
    ["--plain", "leave the archive uncompressed"],
    ["--replace", "write over an archive of the same name"],
  ],
  waits: true,
  examples: [
    "drover image export ubuntu:24.04 --format pdpack --store old-catalog",
    "drover image export ubuntu:24.04/arm64 --to /srv/catalog",
  ],
  run: async () => (await import("./export.ts")).exportImage,
};
