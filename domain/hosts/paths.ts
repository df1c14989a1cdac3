/**
 * Paths on hosts, compared without a disk. Pure.
 *
 * The one idea: two spellings of one place are one: dots, doubled slashes, case and composed letters make no difference, as on the disks of Macs.
 */
/** Whether one path is the other, or lies in it. */
export function overlaps(one: string, other: string): boolean {
  const [a, b] = [partsOf(one), partsOf(other)];
  return a.slice(0, b.length).every((part, index) => part === b[index]);
}

function partsOf(path: string): string[] {
  const parts: string[] = [];
  for (const part of path.normalize("NFC").toLowerCase().split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return parts;
}
