/**
 * An archive on its way to whoever asked for it.
 *
 * The one idea: its reader sets the pace, and its end: what nobody takes is not made.
 */

/** Read only as fast as it is taken. */
export function streamOf(content: AsyncIterable<Uint8Array>): ReadableStream<Uint8Array<ArrayBuffer>> {
  const source = content[Symbol.asyncIterator]();
  return new ReadableStream({
    pull: async (controller) => {
      const { done, value } = await source.next();
      if (done === true) controller.close();
      else controller.enqueue(new Uint8Array(value));
    },
    cancel: async () => void (await source.return?.()),
  });
}

/** `bytes`: null where nobody knows yet. */
export const archiveHeaders = (name: string, bytes: number | null): Record<string, string> => ({
  "Content-Type": "application/octet-stream",
  "Content-Disposition": `attachment; filename="${name}.pdpack"`,
  ...(bytes === null ? {} : { "Content-Length": String(bytes) }),
});
