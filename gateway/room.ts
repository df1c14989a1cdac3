/**
 * A bound on what many requests hold in memory together: first come, first served.
 *
 * The one idea: room is taken before the first byte is read, so whoever waits costs nothing. One that is larger than the whole room passes alone.
 */
export interface Room {
  within<T>(bytes: number, signal: AbortSignal, act: () => Promise<T>): Promise<T>;
}

export function openRoom(totalBytes: number): Room {
  let free = totalBytes;
  const waiting: Array<{ bytes: number; go: () => void }> = [];
  const admit = () => {
    for (let next = waiting[0]; next && next.bytes <= free; next = waiting[0]) {
      waiting.shift();
      free -= next.bytes;
      next.go();
    }
  };
  const enter = (bytes: number, signal: AbortSignal) =>
    new Promise<void>((resolve, reject) => {
      const place = { bytes, go: resolve };
      waiting.push(place);
      signal.addEventListener(
        "abort",
        () => {
          const index = waiting.indexOf(place);
          if (index < 0) return;
          waiting.splice(index, 1);
          reject(signal.reason instanceof Error ? signal.reason : new Error("The request was broken off."));
          admit();
        },
        { once: true },
      );
      admit();
    });
  return {
    within: async (asked, signal, act) => {
      const bytes = Math.min(asked, totalBytes);
      await enter(bytes, signal);
      try {
        return await act();
      } finally {
        free += bytes;
        admit();
      }
    },
  };
}
