/** Asks a process on this computer whether it is ready, for container engines: prints the answer, ends with 0 or 1. */
const [url = ""] = process.argv.slice(2);
// Shorter than the engine's own limit, so that the reason is what it logs.
const answer = await fetch(url, { signal: AbortSignal.timeout(3_000) }).catch((error: unknown) => String(error));
process.stdout.write(typeof answer === "string" ? answer : await answer.text());
process.exitCode = typeof answer !== "string" && answer.ok ? 0 : 1;
