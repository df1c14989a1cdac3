/** A process of ours that dies of an error that nobody foresaw and that carries a secret in every place where an error can. */
import { runProcess } from "../../workers/process.ts";

const secret = process.env["DROVER_STORE_SECRET_KEY"] ?? "";
const parsed = () => JSON.parse(`{"secret": ${secret}`) as unknown;
const query = Object.assign(new Error(`Failed query: select $1\nparams: ${secret}`), { query: "select $1", params: [secret] });
const refused = Object.assign(new Error(`invalid input syntax for type uuid: "${secret}"`), {
  severity: "ERROR",
  code: "22P02",
  detail: secret,
});
const kinds: Record<string, () => unknown> = {
  query: () => new Error("outer", { cause: query }),
  refused: () => Object.assign(refused, { config: { secretAccessKey: secret } }),
  parsed: () => {
    try {
      return parsed();
    } catch (error) {
      return error;
    }
  },
  header: () => new Error(`401 for Authorization: Bearer ${secret} at https://root:${secret}@host/x?access_token=${secret}`),
};

const [how = "", kind = ""] = process.argv.slice(2);
await runProcess("crashing", async ({ log }) => {
  const error = kinds[kind]?.();
  log.error({ err: error, error, password: secret, nested: { token: secret } }, "about to crash");
  if (how === "rejects") throw error;
  if (how === "unheard") void Promise.reject(error);
  else
    setImmediate(() => {
      throw error;
    });
  await new Promise((resolve) => setTimeout(resolve, 10_000));
});
