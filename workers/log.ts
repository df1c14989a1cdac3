/**
 * What our processes write down, and what of it is left out: the one place where logs, crashes and last words are kept free of secrets.
 *
 * The one idea: nothing is written as it came. Of an error only what is known to be harmless is told, and each line is combed for the shapes that secrets
 * have, because a foreign library's message may quote anything.
 */
import { destination, pino, type DestinationStream, type Logger } from "pino";

/** Where secrets could stand in what is logged. */
const redact = {
  paths: ["password", "token", "authorization", "secret", "apiKey", "secretKey", "accessKey"]
    .flatMap((name) => [name, `*.${name}`])
    .concat("headers['x-api-key']"),
  censor: "***",
};

export const serializers = { err: toldError, error: toldError };

export const openLog = (name: string, level: string, to: DestinationStream = destination(1)): Logger =>
  pino({ name, level, redact, serializers, hooks: { streamWrite: combed } }, to);

/** What an error of Node, PostgreSQL, gRPC, an HTTP client or our own carries besides its words and holds no value that somebody sent. */
const harmless = [
  "code",
  "errno",
  "syscall",
  "address",
  "port",
  "severity",
  "routine",
  "schema_name",
  "table_name",
  "column_name",
  "constraint_name",
  "status",
  "statusCode",
  "fault",
  "$fault",
  "$metadata",
] as const;

/** As deep as causes are followed; a ring of causes ends here too. */
const deepest = 8;

export function toldError(error: unknown, depth = 0): unknown {
  if (!(error instanceof Error)) return error;
  const carried: Record<string, unknown> = { ...error };
  const message = toldMessage(error);
  // The stack repeats the message, which may have more lines than one.
  const frames = error.stack?.split("\n").filter((line) => /^\s+at /.test(line)) ?? [];
  return {
    ...Object.fromEntries(harmless.flatMap((name) => (carried[name] === undefined ? [] : [[name, carried[name]]]))),
    type: error.name,
    message,
    stack: [`${error.name}: ${message}`, ...frames].join("\n"),
    ...(error.cause === undefined || depth >= deepest ? {} : { cause: toldError(error.cause, depth + 1) }),
  };
}

/** The words of an error without the values that it was about. */
export function toldMessage(error: Error): string {
  const { query, severity, code, message: given } = error as Error & Record<string, unknown>;
  // Libraries make errors of many kinds, and whoever tells one must not fail over it.
  const message = typeof given === "string" ? given : "";
  // Drizzle writes the query's values into its message.
  if (typeof query === "string") return message.replace(/\nparams: [\s\S]*$/, "");
  // PostgreSQL quotes a value that it cannot take: class 22 of its codes.
  if (typeof severity === "string" && typeof code === "string" && code.startsWith("22")) return `PostgreSQL refused a value (${code}).`;
  // The parser quotes the text that it could not read.
  if (error instanceof SyntaxError) return "A text could not be parsed.";
  return combed(message);
}

/** Each with what it cannot be without, since most lines hold none of them and every line is looked through. */
const shapes: ReadonlyArray<readonly [hint: RegExp, shape: RegExp, instead: string]> = [
  // A token: three parts in base64url.
  [/eyJ/, /\beyJ[\w-]+\.[\w-]+\.[\w-]*/g, "***"],
  // An enrolment token: a secret and the hash of an authority.
  [/\.[0-9a-f]{64}/, /[\w-]{43}\.[0-9a-f]{64}/g, "***"],
  [/bearer|basic/i, /\b(Bearer|Basic) [\w+/=.~-]+/gi, "$1 ***"],
  [/@/, /(:\/\/[^\s:/@"']*:)[^\s@"']+@/g, "$1***@"],
  [/=/, /([?&;](?:access_token|authorization|signature|sig|token|X-Amz-(?:Signature|Credential|Security-Token))=)[^\s&;"'\\]+/gi, "$1***"],
  [/=/, /\b((?:access_key|secret_key|session_token|password|storage_account_key|account_key|api_key|sas)=)[^\s;"'\\]+/gi, "$1***"],
  [/-----BEGIN/, /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g, "***"],
];

/** A line without what looks like a secret. */
export function combed(line: string): string {
  return shapes.reduce((text, [hint, shape, instead]) => (hint.test(text) ? text.replace(shape, instead) : text), line);
}
