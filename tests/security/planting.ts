/** Each way in which a secret comes to a hub, right, wrong and in the wrong place, with a canary in its stead. */
import { fileURLToPath } from "node:url";
import { settled as settledOperation } from "../e2e/faults.ts";
import type { Ground } from "./ground.ts";

const name = "canary";
const users = "/api/v1/auth/users";
const login = (ground: Ground, body: unknown, tells?: true) =>
  ground.ask("POST", "/api/v1/auth/token", { body, ...(tells ? { tells } : {}) });

/** Passwords, tokens and keys of people. Answers a token of root. */
export async function plantAccess(ground: Ground, root: string): Promise<string> {
  const { plant, ask, canaries } = ground;
  const token = String((await login(ground, { email: "root", password: root }, true)).body.token);
  canaries.know("root's token", token);
  const user = { username: name, name, email: `${name}@example.com` };
  const [first, second] = [plant("password of a new user"), plant("password that was changed")];
  await ask("POST", users, { token, body: { ...user, password: first } });
  const theirs = String((await login(ground, { email: name, password: first }, true)).body.token);
  canaries.know("a user's token", theirs);
  const { body } = await ask("GET", `${users}/${name}`, { token });
  await ask("PUT", `${users}/${body.id}`, { token, body: { password: second } });
  await login(ground, { email: name, password: second }, true);
  await login(ground, { email: name, password: plant("wrong password") });
  await login(ground, { email: "nobody", password: plant("password of nobody") });
  await login(ground, { email: plant("password given as the user's name"), password: "x" });
  await ask("POST", "/api/v2/login", { body: { username: name, password: plant("wrong password at v2") } });
  await ask("POST", users, {
    token,
    body: { ...user, username: "weak", password: `${plant("password that is too long")}${"x".repeat(40)}` },
  });
  await ask("POST", users, { token, body: { ...user, username: 7, password: { is: plant("password that is an object") } } });
  await ask("POST", users, { token, body: { ...user, password: plant("password of a user who exists") } });
  await plantKeys(ground, token);
  await plantHeaders(ground, token, theirs);
  return token;
}

async function plantKeys({ ask, plant }: Ground, token: string): Promise<void> {
  const secret = plant("secret of an API key");
  const encoded = (word: string) => Buffer.from(`canarykey:${word}`).toString("base64");
  await ask("POST", "/api/v1/auth/api_keys", { token, tells: true, body: { name: "canary", key: "canarykey", secret } });
  await ask("POST", "/api/v1/auth/api_keys", {
    token,
    body: { name: "canary", key: "canarykey", secret: plant("secret of a key that exists") },
  });
  await ask("POST", "/api/v1/auth/api_keys", { token, body: { name: "", key: "k", secret: plant("secret of a key without a name") } });
  await ask("GET", "/api/v1/machines", { headers: { "X-Api-Key": encoded(secret) } });
  await ask("GET", "/api/v1/machines", { headers: { "X-Api-Key": encoded(plant("wrong secret of an API key")) } });
  await ask("POST", "/api/v1/auth/token", { body: { api_key: encoded(plant("wrong API key at the login")) } });
  await ask("POST", "/api/v1/auth/token", { body: { api_key: plant("API key in no format") } });
  await ask("GET", `/api/v1/auth/api_keys/${plant("secret in the place of a key's id")}`, { token });
  await ask("POST", "/api/v1/user/configs", {
    token,
    tells: true,
    body: { slug: "s", name: "s", type: "string", value: plant("value kept for a user") },
  });
  await ask("POST", "/api/v1/user/configs", { token, body: { slug: "t", name: "t", type: "what", value: plant("value of no type") } });
}

async function plantHeaders({ ask, plant, upgrade, canaries }: Ground, token: string, theirs: string): Promise<void> {
  const noToken = (word: string) =>
    ["eyJhbGciOiJIUzI1NiJ9", Buffer.from(JSON.stringify({ uid: word })).toString("base64url"), "c2ln"].join(".");
  await ask("GET", "/api/v2/machines", {
    headers: { Authorization: `Basic ${Buffer.from(`root:${plant("password by Basic")}`).toString("base64")}` },
  });
  await ask("GET", "/api/v2/machines", { token: plant("garbage as a token") });
  await ask("GET", "/api/v1/machines", { token: noToken(plant("claims of a foreign token")) });
  await ask("POST", "/api/v1/auth/token/validate", { body: { token: noToken(plant("claims of a token to validate")) } });
  await ask("GET", `/api/v1/machines?access_token=${plant("token in a query")}`);
  await ask("GET", `/api/v2/operations?token=${plant("token in a query of v2")}`, { token });
  // The answer names what was asked for, to whoever asked.
  await ask("GET", `/api/v2/machines/${plant("secret in a path")}`, { token, tells: true });
  await ask("GET", `/nowhere/${plant("secret in a path that is none")}`, { tells: true });
  await upgrade(`/api/v1/ws/subscribe?access_token=${theirs}`);
  await upgrade(`/api/v1/ws/subscribe?event_types=vm&access_token=${plant("garbage as a WebSocket's token")}`);
  await upgrade(`/api/v1/ws/subscribe?authorization=${plant("garbage as a WebSocket's authorization")}`);
  canaries.know("the signature of a token", token.split(".")[2] ?? token);
}

/** Bodies that are not what they should be: their mistakes are told, and nothing of them is quoted. */
export async function plantMalformed({ ask, askGateway, plant }: Ground, token: string): Promise<void> {
  await ask("POST", "/api/v1/auth/token", { body: `{"email": "root", "password": "${plant("password in half a body")}` });
  await ask("POST", "/api/v2/stores", { token, body: `${plant("text that is no JSON")}` });
  await ask("POST", "/api/v2/machines/work/actions", { token, body: `{"verb": "execute", "script": ${plant("script without quotes")}}` });
  await ask("POST", "/api/v2/machines/work/actions", { token, body: { verb: "execute", script: [plant("script that is a list")] } });
  await ask("POST", "/api/v2/machines/work/actions", { token, body: { verb: "execute", script: `\u0000${plant("script with a zero")}` } });
  await ask("POST", "/api/v2/machines/work/actions", {
    token,
    body: { verb: "execute", script: "true", environment: { A: { b: plant("variable that is an object") } } },
  });
  await ask("POST", "/api/v2/machines/work/actions", {
    token,
    body: { verb: "execute", script: "true", [plant("secret as a field's name")]: 1 },
  });
  await askGateway("POST", "/host/v1/enrol", { body: { token: plant("garbage as an enrolment token"), publicKey: "x" } });
  await askGateway("POST", "/host/v1/enrol", { body: `{"token": "${plant("enrolment token in half a body")}` });
  await askGateway("POST", "/host/v1/report", { token: plant("garbage as a host's token"), body: { lines: [] } });
  await askGateway("GET", `/host/v1/objects/x?signature=${plant("signature of a grant")}&kid=x&store=x&expires=1`);
}

/** Where webhooks lead, and what signs what they send. */
export async function plantWebhooks({ ask, plant }: Ground, token: string): Promise<void> {
  const url = `http://127.0.0.1:9/${plant("path of a webhook")}?key=${plant("query of a webhook")}`;
  await ask("POST", "/api/v2/webhooks", { token, body: { name: "canary", url, secret: plant("secret of a webhook") } });
  await ask("POST", "/api/v2/webhooks", { token, body: { name: "canary", url, secret: plant("secret of a webhook that exists") } });
  await ask("POST", "/api/v2/webhooks", { token, body: { name: "x", url: `https://u:${plant("password in a webhook's address")}@a` } });
  await ask("POST", "/api/v2/webhooks", { token, body: { name: "x", url: plant("address of a webhook that is none") } });
  const second = { rotateSecret: { secret: plant("second secret of a webhook") } };
  await ask("PATCH", "/api/v2/webhooks/canary", { token, body: second });
  await ask("POST", "/api/v2/webhooks/canary/test", { token });
}

/** Keys of stores. */
export async function plantStores({ ask, plant }: Ground, token: string, path: string): Promise<void> {
  const nowhere = "s3://bucket?endpoint=http%3A%2F%2F127.0.0.1%3A9";
  const credentials = { accessKeyId: plant("access key of a store"), secretAccessKey: plant("secret key of a store") };
  await ask("POST", "/api/v2/stores", { token, body: { name: "away", location: nowhere, credentials } });
  for (const [location, secret] of [
    [
      "azure://drover/images?endpoint=http%3A%2F%2F127.0.0.1%3A9%2Fdrover",
      { accountKey: Buffer.from(plant("key of a store in Azure")).toString("base64") },
    ],
    ["azure://drover/images?endpoint=http%3A%2F%2F127.0.0.1%3A9%2Fdrover", { sas: `sp=rl&sig=${plant("signature of a SAS")}` }],
    ["artifactory://images?endpoint=http%3A%2F%2F127.0.0.1%3A9%2Fartifactory", { token: plant("token for a repository") }],
    [
      "artifactory://images?endpoint=http%3A%2F%2F127.0.0.1%3A9%2Fartifactory",
      { username: "u", password: plant("password for a repository") },
    ],
    ["folder:/nowhere", { apiKey: plant("key for a folder") }],
  ] as const)
    await ask("POST", "/api/v2/stores", { token, body: { name: "away", location, credentials: secret } });
  await ask("POST", "/api/v2/stores", { token, body: { name: "x", location: `s3://k:${plant("secret in a store's location")}@bucket` } });
  await ask("POST", "/api/v2/stores", { token, body: { name: "x", location: `nothing:${plant("secret in no location")}` } });
  const connections = [
    `provider=aws-s3;bucket=b;region=us-east-1;access_key=${plant("access key for Amazon")};secret_key=${plant("secret key for Amazon")}`,
    `provider=minio;bucket=b;endpoint=127.0.0.1:9;access_key=${plant("access key for MinIO")};secret_key=${plant("secret key for MinIO")}`,
    `provider=azure-storage-account;storage_account_name=a;storage_account_key=${plant("key for Azure")};container_name=c`,
    `provider=artifactory;url=http://127.0.0.1:9;access_key=${plant("key for Artifactory")};repo=r`,
    `provider=${plant("secret as a provider")}`,
    `host=root:${plant("password of another catalog")}@http://127.0.0.1:9`,
  ];
  for (const connection of connections) {
    await ask("POST", "/api/v1/catalog/push", {
      token,
      body: { local_path: path, catalog_id: "canary", version: "1", architecture: "arm64", connection },
    });
    await ask("PUT", "/api/v1/catalog/pull", {
      token,
      body: { catalog_id: "nothing", version: "1", architecture: "arm64", machine_name: "m", path: "/x", connection },
    });
  }
}

/** Scripts, arguments and variables of commands in a guest. */
export async function plantCommands({ ask, plant, stack }: Ground, token: string, machine: string): Promise<void> {
  const act = async (script: string, environment: Record<string, string>) => {
    const body = { verb: "execute", script, environment, timeoutSeconds: 30 };
    const { body: operation } = await ask("POST", `/api/v2/machines/${machine}/actions`, { token, body });
    const settled = operation.id === undefined ? null : await settledOperation(stack, String(operation.id));
    if (settled?.state !== "done") throw new Error(`A script did not run: ${JSON.stringify(settled ?? operation)}`);
  };
  await act(`# ${plant("long script")}\n${"# filler\n".repeat(20_000)}test -n ${plant("script")}; sleep 0.2`, { TOKEN: plant("variable") });
  const said = `echo "$TOKEN" ${plant("script that prints itself")}; echo "$TOKEN" >&2`;
  const unknown = `${plant("command that does not exist")} --password ${plant("argument of a script")}`;
  await act(`${said}; ${unknown}; exit 255`, { TOKEN: plant("variable that is printed") });
  await act(`if ${plant("script that is not whole")}`, {});
  const wire = {
    command: `echo ${plant("command of the wire")} && echo "$A" && exit 3`,
    environment_variables: { A: plant("variable of the wire") },
  };
  const { status } = await ask("PUT", `/api/v1/machines/${machine}/execute`, { token, body: wire, tells: true });
  if (status !== 200) throw new Error(`The wire's script did not run: ${status}`);
  await ask("PUT", "/api/v1/machines/nothing/execute", { token, body: { command: plant("command for no machine") } });
}

/** The command line: standard input, variables, files; and what it says when it fails. */
export async function plantInCommands({ run, drover, plant, stack }: Ground, machine: string): Promise<void> {
  const url = stack.client.session.url;
  const away = (word: string) => `postgres://me:${word}@127.0.0.1:1/x`;
  await drover(["login", url, "--username", "canary"], {}, `${plant("password at standard input")}\n`);
  await drover(["login", url, "--username", "canary"], { DROVER_PASSWORD: plant("password in a variable"), DROVER_DEBUG: "1" });
  await drover(["whoami"], { DROVER_URL: url, DROVER_TOKEN: plant("token in a variable") });
  const store = ["store", "add", "other", "s3://bucket?endpoint=http://127.0.0.1:9", "--credentials-file", "-"];
  await drover(store, {}, `access_key=id\nsecret_key=${plant("secret key at standard input")}\n`);
  await drover([...store.slice(0, -2), "--credentials-env", "SECRET"], { SECRET: `token=${plant("token in a variable of a store")}` });
  await drover(["config"], {
    DROVER_STORE_ACCESS_KEY: plant("access key in a configuration"),
    DROVER_STORE_SECRET_KEY: plant("secret key in a configuration"),
    DROVER_STORE_SESSION_TOKEN: plant("session token in a configuration"),
    TEMPORAL_API_KEY: plant("key for Temporal"),
    ROOT_PASSWORD: plant("root's password in a configuration"),
    DATABASE_URL: away(plant("password of a database")),
  });
  await drover(["config"], {
    DROVER_MASTER_KEY: plant("master key that is none"),
    TLS_PRIVATE_KEY: plant("private key that is none"),
    DATABASE_URL: `mysql://me:${plant("password of no database")}@127.0.0.1:1/x`,
  });
  await Promise.all([
    run("api/main.ts", [], { env: { DATABASE_URL: away(plant("password of a database that is away")), API_PORT: "1" } }),
    run("cli/main.ts", ["key", "import", "--json"], { input: plant("master key to import") }),
    run("cli/main.ts", ["host", "enrol", "https://127.0.0.1:1", "--json"], { input: plant("enrolment token at standard input") }),
    run("cli/main.ts", ["machine", "exec", "--env", "TOKEN", "--script", "-", machine], {
      env: { TOKEN: plant("variable of one's own") },
      input: `test "$TOKEN" = ${plant("script at standard input")}`,
    }),
  ]);
}

/** Programs that die: of an error that carries the secret, heard or not. */
export async function plantInCrashes({ run, plant }: Ground): Promise<void> {
  const secret = plant("secret that a crash knows");
  const env = { DROVER_STORE_SECRET_KEY: secret, DROVER_STORE_ACCESS_KEY: "id", LOG_LEVEL: "debug" };
  const crashing = fileURLToPath(new URL("./crashing.ts", import.meta.url));
  const ways = ["rejects query", "unheard refused", "throws parsed", "unheard header"];
  await Promise.all(ways.map((way) => run(crashing, way.split(" "), { env })));
}
