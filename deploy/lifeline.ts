/**
 * Ends this process when the one that started it is gone, even when that one was killed with -9.
 *
 * The one idea: the kernel gives an orphan another parent, so a process that was told who its parent is can see the loss by itself.
 * Import this file first in every program that the supervisor or the launcher starts.
 */
const parent = Number(process.env["DROVER_LIFELINE"] ?? 0);

// Twice a second: soon enough that a restarted supervisor finds free ports, and costs nothing.
const checkEveryMs = 500;
// Longer than any grace of our own shutdown, so that this only ends a process that hangs in it.
const graceMs = 30_000;

if (parent > 0 && process.ppid !== parent) process.exit(1);
if (parent > 0) {
  const watch = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(watch);
    setTimeout(() => process.exit(1), graceMs).unref();
    process.kill(process.pid, "SIGTERM");
  }, checkEveryMs);
  watch.unref();
}
// Grandchildren have another parent: the value is for this process alone.
delete process.env["DROVER_LIFELINE"];
