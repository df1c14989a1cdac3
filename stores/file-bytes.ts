/**
 * A part of a file as a stream that reads straight into its reader's own memory.
 *
 * Node's own streams make a new buffer for every piece, which costs a reader of large objects a third of its time in collecting them.
 */
import type { FileHandle } from "node:fs/promises";

/** For readers without memory of their own: few calls for a pack, and little that waits. */
const pieceBytes = 1 << 18;

/** Takes the handle over, and closes it when the stream ends in whatever way. */
export function fileBytes(handle: FileHandle, from: number, end: number, signal: AbortSignal): ReadableStream<Uint8Array> {
  let at = from;
  return new ReadableStream({
    type: "bytes",
    autoAllocateChunkSize: pieceBytes,
    pull: async (controller) => {
      const asked = controller.byobRequest;
      if (!asked?.view) return;
      const { buffer, byteOffset, byteLength } = asked.view;
      try {
        signal.throwIfAborted();
        const wanted = Math.min(byteLength, end - at);
        const room = new Uint8Array(buffer, byteOffset, byteLength);
        const bytesRead = wanted > 0 ? (await handle.read(room, 0, wanted, at)).bytesRead : 0;
        signal.throwIfAborted();
        at += bytesRead;
        if (bytesRead === 0) {
          await handle.close();
          controller.close();
        }
        asked.respond(bytesRead);
      } catch (error) {
        await handle.close();
        controller.error(error);
      }
    },
    cancel: () => handle.close(),
  });
}
