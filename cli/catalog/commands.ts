/** `drover push`, `drover pull`, `drover image ...`, `drover bundle ...`, `drover store ...` */
import type { Command } from "commander";
import { declare, declareGroup, type Answer } from "../declare.ts";
import { exportDeclaration, importDeclaration } from "./archive-commands.ts";
import { prefetchDeclaration } from "./caching.ts";
import { imageCareCommands, storeCareCommands } from "./care-commands.ts";

export function catalogCommands(program: Command, answer: Answer): void {
  transferCommands(program, answer);
  imageCommands(declareGroup(program, { name: "image", summary: "Look at catalog images, tag, mark and delete them" }), answer);
  bundleCommands(declareGroup(program, { name: "bundle", summary: "Look at a bundle on this computer" }), answer);
  storeCommands(
    declareGroup(program, { name: "store", summary: "Look at the stores that hold images, add one, keep them whole and clean" }),
    answer,
  );
}

function transferCommands(program: Command, answer: Answer): void {
  declare(
    program,
    {
      usage: "push <bundle> <catalogId>",
      summary: "Publish a bundle as a version of a catalog image",
      options: [
        ["--version <version>", "name of the version (latest)"],
        ["--arch <architecture>", "arm64 or x86_64; the bundle's own without it"],
        ["--tag <tag>", "a tag; may be given several times", "several"],
        ["--description <text>", "what the image is"],
        ["--role <role>", "only holders of one of these roles may have it", "several"],
        ["--claim <claim>", "only holders of one of these claims may have it", "several"],
        ["--store <store>", "where its bytes go (name or id); the default store without it"],
        ["--replace", "point an existing version to this content"],
        ["--verify", "read every file, also those that nothing touched since the last push"],
        ["--host <host>", "the bundle lies on this host, not on this computer"],
      ],
      waits: true,
      examples: [
        "drover push ~/Parallels/Ubuntu.pvm ubuntu --version 24.04 --tag ci",
        "drover push /Users/ci/Parallels/macOS.macvm macos --version 15.2 --host mac-1",
      ],
      run: async () => (await import("./push.ts")).push,
    },
    answer,
  );
  declare(
    program,
    {
      usage: "pull <image>",
      summary: "Bring an image into a host's cache, ready to clone",
      options: [
        ["--host <host>", "the host that is to have it (name or id)"],
        ["--arch <architecture>", "arm64 or x86_64"],
      ],
      waits: true,
      examples: ["drover pull ubuntu:24.04 --host mac-1"],
      run: async () => (await import("./pull.ts")).pull,
    },
    answer,
  );
}

function imageCommands(group: Command, answer: Answer): void {
  declare(group, prefetchDeclaration, answer);
  declare(group, importDeclaration, answer);
  declare(group, exportDeclaration, answer);
  declare(
    group,
    {
      usage: "list [catalogId]",
      summary: "List the images that you may see",
      options: [
        ["--version <version>", "only this version"],
        ["--arch <architecture>", "only this architecture"],
        ["--tag <tag>", "only those with this tag"],
        ["--limit <count>", "how many at most"],
      ],
      examples: ["drover image list", "drover image list ubuntu --tag ci --json"],
      run: async () => (await import("./images.ts")).listImages,
    },
    answer,
  );
  declare(
    group,
    {
      usage: "show <image>",
      summary: "Show a version of an image",
      examples: ["drover image show ubuntu:24.04", "drover image show ubuntu:24.04/arm64"],
      run: async () => (await import("./images.ts")).showImage,
    },
    answer,
  );
  declare(
    group,
    {
      usage: "delete <image>",
      summary: "Delete a version of an image; bytes that others share stay",
      examples: ["drover image delete ubuntu:24.04/arm64"],
      run: async () => (await import("./images.ts")).deleteImage,
    },
    answer,
  );
  imageCareCommands(group, answer);
}

function bundleCommands(group: Command, answer: Answer): void {
  declare(
    group,
    {
      usage: "inspect <path>",
      summary: "Tell what a bundle on this computer is: guest, disks, sizes, snapshots",
      examples: ["drover bundle inspect ~/Parallels/Ubuntu.pvm"],
      run: async () => (await import("./bundle.ts")).inspectBundle,
    },
    answer,
  );
  declare(
    group,
    {
      usage: "check <path>",
      summary: "Tell whether a push would take a bundle, and why not",
      examples: ["drover bundle check ~/Parallels/Ubuntu.pvm && drover push ~/Parallels/Ubuntu.pvm ubuntu"],
      run: async () => (await import("./bundle.ts")).checkBundle,
    },
    answer,
  );
}

function storeCommands(group: Command, answer: Answer): void {
  declare(
    group,
    {
      usage: "list",
      summary: "List the stores",
      examples: ["drover store list"],
      run: async () => (await import("./stores.ts")).listStores,
    },
    answer,
  );
  declare(
    group,
    {
      usage: "show <store>",
      summary: "Show a store (name or id)",
      examples: ["drover store show default"],
      run: async () => (await import("./stores.ts")).showStore,
    },
    answer,
  );
  storeChangeCommands(group, answer);
  storeLifeCommands(group, answer);
  storeCareCommands(group, answer);
}

const secretOptions = [
  ["--credentials-file <path>", "file with the credentials, as lines of key=value; - is standard input"],
  ["--credentials-env <name>", "variable that holds the same"],
] as const;

function storeChangeCommands(group: Command, answer: Answer): void {
  declare(
    group,
    {
      usage: "add <name> <location>",
      summary: "Add a store, once it was reached",
      options: [
        ...secretOptions,
        ["--read-only", "never write to it: for catalogs of others, with credentials that may only read"],
        ["--default", "make it the store of pushes that name none"],
      ],
      examples: [
        "drover store add old-catalog 's3://vm-images?region=eu-1' --read-only --credentials-file reader.txt",
        "drover store add depot 's3://images/drover?region=eu-1&endpoint=https://s3.example.com' --credentials-file depot.txt",
        "drover store add cloud azure://account/images --credentials-env AZURE_SECRET",
        "drover store add nas folder:/mnt/images --default",
      ],
      run: async () => (await import("./stores.ts")).addStore,
    },
    answer,
  );
  declare(
    group,
    {
      usage: "edit <store>",
      summary: "Change a store (name or id): its name, its credentials, the way to it, and what may be asked of it",
      options: [
        ...secretOptions,
        ["--name <name>", "its new name"],
        ["--location <location>", "the same bucket, container or repository, reached in another way"],
        ["--max-bandwidth <size>", "bytes per second that all transfers with it may take together, such as 200MB; none lifts it"],
        ["--max-requests <count>", "requests that all transfers may have under way together; none lifts it"],
        ["--read-only", "write nothing to it any more"],
        ["--read-write", "make one that was only read this hub's own"],
      ],
      examples: [
        "drover store edit depot --credentials-file new.txt",
        "vault read -field=text store | drover store edit depot --credentials-file -",
        "drover store edit depot --max-bandwidth 200MB --max-requests 8",
      ],
      run: async () => (await import("./stores.ts")).editStore,
    },
    answer,
  );
}

function storeLifeCommands(group: Command, answer: Answer): void {
  declare(
    group,
    {
      usage: "test <store>",
      summary: "Try every right that transfers need of a store",
      examples: ["drover store test depot", "drover store test depot --json"],
      run: async () => (await import("./store-test.ts")).testStore,
    },
    answer,
  );
  declare(
    group,
    {
      usage: "default <store>",
      summary: "Make a store the one for pushes that name none",
      examples: ["drover store default depot"],
      run: async () => (await import("./stores.ts")).defaultStore,
    },
    answer,
  );
  declare(
    group,
    {
      usage: "remove <store>",
      summary: "Forget a store that no version lies in; its objects stay",
      examples: ["drover store remove depot"],
      run: async () => (await import("./stores.ts")).removeStore,
    },
    answer,
  );
}
