/** `drover identity`: whom the hub believes about who people and workloads are. For super users. */
import type { Command } from "commander";
import { declare, declareGroup, type Answer, type Declaration } from "../declare.ts";

export function identityCommands(program: Command, answer: Answer): void {
  const identity = declareGroup(program, { name: "identity", summary: "Let people and pipelines in by what others vouch for" });
  const provider = declareGroup(identity, {
    name: "provider",
    summary: "Identity providers (OpenID Connect), through which people log in",
  });
  for (const declaration of providers) declare(provider, declaration, answer);
  const rule = declareGroup(identity, { name: "rule", summary: "Rules by which pipelines log in with a token of their platform" });
  for (const declaration of rules) declare(rule, declaration, answer);
}

const meanings = [
  ["--scope <word>", "asked for at a login (default openid, profile and email)", "several"],
  ["--user-claim <name>", "the claim that names a new user (default preferred_username)"],
  ["--groups-claim <name>", "the claim that holds groups (default groups)"],
  ["--role <group=ROLE>", "a role that a group gives; several roles with commas; the group * is everybody; none for no group", "several"],
  ["--make-users <yes|no>", "whether whoever logs in for the first time becomes a user (default no)"],
  ["--bearer-audience <word>", "the API takes the provider's tokens that are for this audience; none for none", "several"],
] as const;

const providers: readonly Declaration[] = [
  {
    usage: "list",
    summary: "List identity providers",
    alias: "ls",
    examples: ["drover identity provider list"],
    run: async () => (await import("./providers.ts")).listProviders,
  },
  {
    usage: "add <name> <issuer>",
    summary: "Believe an identity provider about who people are",
    options: [["--client-id <id>", "of Drover at the provider: a public client with PKCE, which has no secret"], ...meanings],
    examples: [
      "drover identity provider add sso https://id.example.com/realms/acme --client-id drover --make-users yes --role '*=USER' --role ops=ADMIN",
    ],
    run: async () => (await import("./providers.ts")).addProvider,
  },
  {
    usage: "edit <name>",
    summary: "Change what an identity provider's words mean; what is not named stays",
    options: [["--name <name>", "its new name"], ["--client-id <id>", "of Drover at the provider"], ...meanings],
    examples: ["drover identity provider edit sso --role '*=USER' --role admins=ADMIN"],
    run: async () => (await import("./providers.ts")).editProvider,
  },
  {
    usage: "remove <name>",
    summary: "Believe an identity provider no more; its logins end, users stay",
    alias: "rm",
    examples: ["drover identity provider remove sso"],
    run: async () => (await import("./providers.ts")).removeProvider,
  },
  {
    usage: "test <name>",
    summary: "Ask an identity provider what it says about itself",
    examples: ["drover identity provider test sso"],
    run: async () => (await import("./providers.ts")).testProvider,
  },
];

const rules: readonly Declaration[] = [
  {
    usage: "list",
    summary: "List the rules by which pipelines log in",
    alias: "ls",
    examples: ["drover identity rule list"],
    run: async () => (await import("./rules.ts")).listRules,
  },
  {
    usage: "add <name>",
    summary: "Let pipelines in by what their platform's token says",
    options: [
      ["--issuer <url>", "whose tokens: github, gitlab or an address"],
      ["--as <user>", "the user whom such a pipeline acts as"],
      ["--claim <name=value>", "what the token must say; * stands for anything but / and :, ** for anything", "several"],
      ["--audience <word>", "what the token must be for (default the hub's address)"],
      ["--lifetime <duration>", "how long the login lasts, up to 1h (default 15m)"],
    ],
    examples: [
      "drover identity rule add deploy --issuer github --as ci --claim repository=acme/app --claim ref=refs/heads/main",
      "drover identity rule add images --issuer gitlab --as ci --claim project_path=acme/app --claim environment=production",
    ],
    run: async () => (await import("./rules.ts")).addRule,
  },
  {
    usage: "remove <name>",
    summary: "Remove a rule; logins that it gave end at once",
    alias: "rm",
    examples: ["drover identity rule remove deploy"],
    run: async () => (await import("./rules.ts")).removeRule,
  },
  {
    usage: "test",
    summary: "Tell which rules a platform's token fits, and why not; it is not used up",
    options: [["--token-file <path>", "where the token is"]],
    examples: ["drover identity rule test --token-file token.jwt"],
    run: async () => (await import("./rules.ts")).testRules,
  },
];
