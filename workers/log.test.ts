/** What is written down holds no secret, whatever it came in. */
import { expect, it } from "vitest";
import { combed, openLog } from "./log.ts";

const secret = "hush-hush-hush";
const written = (log: (to: ReturnType<typeof openLog>) => void): string => {
  let text = "";
  log(openLog("test", "debug", { write: (line: string) => void (text += line) }));
  return text;
};

it.each([
  `Authorization: Bearer ${secret}`,
  `Basic ${secret}`,
  `postgres://me:${secret}@db/drover`,
  `https://x/y?access_token=${secret}&z=1`,
  `PUT https://s3/x?X-Amz-Credential=${secret}&X-Amz-Signature=${secret}`,
  `provider=aws-s3;access_key=${secret};secret_key=${secret}`,
  `eyJhbGciOiJIUzI1NiJ9.${secret}.${secret}`,
  `-----BEGIN PRIVATE KEY-----\n${secret}\n-----END PRIVATE KEY-----`,
])("leaves the secret out of %j", (line) => {
  expect(combed(line)).not.toContain(secret);
});

it("keeps what people look for: ids, paths, addresses, counts", () => {
  const line = `{"operationId":"0199b4a2-7c1e-7d10-9f51-2d6a3d5f4e11","path":"/api/v2/machines","url":"http://127.0.0.1:3080","sha256":"${"ab".repeat(32)}"}`;
  expect(combed(line)).toBe(line);
});

it("leaves the values out of fields and errors of every kind, and never fails over one", () => {
  const refused = Object.assign(new Error(`invalid input syntax for type uuid: "${secret}"`), {
    severity: "ERROR",
    code: "22P02",
    detail: secret,
    where: secret,
  });
  const query = Object.assign(new Error(`Failed query: x\nparams: ${secret}`, { cause: refused }), { query: "x", params: [secret] });
  const odd = Object.assign(new Error("odd"), { message: undefined, stack: undefined });
  const ring = new Error("ring");
  ring.cause = ring;
  const parsed = new SyntaxError(`Unexpected token in "${secret}"`);
  for (const err of [refused, query, odd, ring, parsed]) {
    const text = written((log) => log.error({ err, error: err, password: secret, nested: { secretKey: secret, token: secret } }, "failed"));
    expect(text).not.toContain(secret);
    expect(JSON.parse(text)).toMatchObject({ msg: "failed", err: { type: err.name } });
  }
});
