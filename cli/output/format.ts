/**
 * Numbers and times as people read them. JSON output never passes through here: it stays exact.
 */

const sizes = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"] as const;

/** Three digits at most say enough: 0 B, 512 B, 1.5 GiB, 120 MiB. */
export function bytes(count: number | null | undefined): string {
  if (count === null || count === undefined) return "";
  const power = count < 1 ? 0 : Math.min(Math.floor(Math.log2(count) / 10), sizes.length - 1);
  const value = count / 1024 ** power;
  return `${power === 0 || value >= 100 ? Math.round(value) : Number(value.toFixed(1))} ${sizes[power] ?? "B"}`;
}

export const rate = (bytesPerSecond: number): string => `${bytes(bytesPerSecond)}/s`;

/** The two units that matter: 0.4 s, 42 s, 3 min 20 s, 5 h 2 min, 7 d. */
export function span(milliseconds: number): string {
  const seconds = milliseconds / 1000;
  if (seconds < 10) return `${Number(seconds.toFixed(1))} s`;
  const whole = Math.round(seconds);
  const [days, hours, minutes] = [Math.floor(whole / 86_400), Math.floor((whole % 86_400) / 3600), Math.floor((whole % 3600) / 60)];
  if (days > 0) return parts([days, "d"], [hours, "h"]);
  if (hours > 0) return parts([hours, "h"], [minutes, "min"]);
  return minutes > 0 ? parts([minutes, "min"], [whole % 60, "s"]) : `${whole} s`;
}
const parts = (...given: Array<[number, string]>): string =>
  given
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(" ");

/** In the time zone of the reader. */
export function time(at: Date | null | undefined): string {
  if (!at) return "";
  const two = (value: number) => String(value).padStart(2, "0");
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** How long ago, or in how long: what tables show for a time. */
export function ago(at: Date | null | undefined, now = new Date()): string {
  if (!at) return "";
  const difference = now.getTime() - at.getTime();
  return difference >= 0 ? `${span(difference)} ago` : `in ${span(-difference)}`;
}

export const percent = (done: number, total: number): string => `${total === 0 ? 100 : Math.min(100, Math.floor((done / total) * 100))} %`;

export const list = (words: readonly string[]): string => words.join(", ");
export const labels = (given: Readonly<Record<string, string>>): string =>
  list(Object.entries(given).map(([name, value]) => (value === "" ? name : `${name}=${value}`)));
