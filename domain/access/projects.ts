/**
 * Projects and what they may have.
 *
 * The one idea: a limit is compared with what there is and what is asked for together, in one function, so that every refusal says all three.
 */
import { z } from "zod";
import { ok, refuse, type Result } from "../errors.ts";

export const ProjectId = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, "must have at most 63 lower-case letters, digits and inner dashes")
  .meta({ id: "ProjectId" });

const limit = (description: string) => z.int().min(0).max(Number.MAX_SAFE_INTEGER).nullable().meta({ description });
export const Quota = z
  .object({
    machines: limit("How many machines; null for any number."),
    vcpus: limit("vCPUs of all machines together, running or not."),
    memoryBytes: limit("Memory of all machines together, running or not."),
    storageBytes: limit("What all image versions take in stores, each counted as if it were alone."),
  })
  .meta({ id: "Quota" });
export type Quota = z.infer<typeof Quota>;

export const Usage = z.object({ machines: z.int(), vcpus: z.int(), memoryBytes: z.int(), storageBytes: z.int() }).meta({ id: "Usage" });
export type Usage = z.infer<typeof Usage>;

export const Project = z
  .object({ id: ProjectId, quota: Quota, used: Usage, users: z.int().nonnegative(), createdAt: z.date() })
  .meta({ id: "Project" });
export type Project = z.infer<typeof Project>;

const words: Readonly<Record<keyof Usage, string>> = {
  machines: "machines",
  vcpus: "vCPUs",
  memoryBytes: "bytes of memory",
  storageBytes: "bytes of storage",
};

interface Sized {
  readonly vcpus?: number | undefined;
  readonly memoryBytes?: number | undefined;
}

/** What a machine gets more than it has; what it gets less counts as none. */
export function growthOf(has: Required<Sized>, wanted: Sized): Partial<Usage> {
  const more = (what: keyof Sized) => Math.max(0, (wanted[what] ?? has[what] ?? 0) - (has[what] ?? 0));
  const [vcpus, memoryBytes] = [more("vcpus"), more("memoryBytes")];
  return { ...(vcpus > 0 ? { vcpus } : {}), ...(memoryBytes > 0 ? { memoryBytes } : {}) };
}

/** Whether a project may have this much more. Asked for none of something, it must have room for some of it. */
export function withinQuota(project: string, { quota, used }: { quota: Quota; used: Usage }, asked: Partial<Usage>): Result<void> {
  const beyond = (Object.keys(asked) as (keyof Usage)[]).flatMap((what) => {
    const [most, has, more] = [quota[what], used[what], asked[what] ?? 0];
    if (most === null || (more > 0 ? has + more <= most : has < most)) return [];
    return [{ what, limit: most, used: has, asked: more }];
  });
  if (beyond.length === 0) return ok(undefined);
  const told = beyond.map(
    ({ what, limit, used: has, asked: more }) => `${limit} ${words[what]}: it has ${has}, and ${more} more were asked for`,
  );
  return refuse({
    code: "quota_exceeded",
    message: `The project ${project} may have ${told.join("; and ")}.`,
    subject: project,
    details: { project, beyond },
  });
}
