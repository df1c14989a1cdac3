/**
 * Lets all operations that want one image on this host share one transfer.
 *
 * The one idea: the transfer belongs to nobody. It runs while at least one operation waits for it, under the grant of any of them, and is aborted
 * when the last one leaves.
 */
export interface Member<P> {
  readonly operationId: string;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: P) => void;
}

export interface SharedTransfers<T, P> {
  /** Joins the transfer of `key`, or begins it with `begin`. `operationId()` names a member that still waits, for its grants. */
  join(key: string, member: Member<P>, begin: (transfer: Transfer<P>) => Promise<T>): Promise<T>;
  /** Whether anybody waits for it right now. */
  isRunning(key: string): boolean;
}
export interface Transfer<P> {
  readonly signal: AbortSignal;
  readonly operationId: () => string;
  readonly onProgress: (progress: P) => void;
}

interface Running<T, P> {
  readonly members: Set<Member<P>>;
  readonly abort: AbortController;
  readonly result: Promise<T>;
}

export function openSharedTransfers<T, P>(): SharedTransfers<T, P> {
  const running = new Map<string, Running<T, P>>();

  const start = (key: string, members: Set<Member<P>>, begin: (transfer: Transfer<P>) => Promise<T>): Running<T, P> => {
    const abort = new AbortController();
    const transfer: Transfer<P> = {
      signal: abort.signal,
      operationId: () => [...members][0]?.operationId ?? "",
      onProgress: (progress) => members.forEach(({ onProgress }) => onProgress(progress)),
    };
    const result = begin(transfer).finally(() => running.delete(key));
    result.catch(() => {}); // Every member sees the failure; the last one may have left before.
    return { members, abort, result };
  };

  return {
    isRunning: (key) => running.has(key),
    join: async (key, member, begin) => {
      member.signal.throwIfAborted();
      // One that its last member has just left is on its way out: wait for its end, then begin anew.
      for (let old = running.get(key); old?.abort.signal.aborted; old = running.get(key)) await old.result.catch(() => {});
      const members = running.get(key)?.members ?? new Set();
      members.add(member);
      const shared = running.get(key) ?? start(key, members, begin);
      running.set(key, shared);
      const left = Promise.withResolvers<never>();
      const leave = () => left.reject(member.signal.reason);
      member.signal.addEventListener("abort", leave, { once: true });
      try {
        return await Promise.race([shared.result, left.promise]);
      } finally {
        member.signal.removeEventListener("abort", leave);
        members.delete(member);
        if (members.size === 0) {
          shared.abort.abort(new Error("Nobody waits for this transfer any more."));
          await shared.result.catch(() => {});
        }
      }
    },
  };
}
