/**
 * What transfers with one store may take together in this process: bytes per second, and requests under way.
 *
 * The one idea: a gate stands before requests, not in their streams, so it costs nothing where no limit is set; and its limits may change while it is in use, since
 * what one process may take depends on how many others take at that moment.
 */
import type { ObjectStore } from "../stores/object-store.ts";
import { openLine } from "./line.ts";

export interface StoreShare {
  /** Null: all there is. */
  readonly bytesPerSecond: number | null;
  readonly requests: number | null;
}

export interface StoreGate {
  /** From now on. */
  set(share: StoreShare): void;
  /** Waits for a place among the requests under way; who has one gives it back once. */
  enter(signal: AbortSignal): Promise<() => void>;
  /** Waits until these bytes may travel. */
  take(bytes: number, signal: AbortSignal): Promise<void>;
}

export function openStoreGate(first: StoreShare): StoreGate {
  let share = first;
  let inside = 0;
  const waiting: Array<() => void> = [];
  const line = openLine(() => share.bytesPerSecond ?? Infinity);
  const admit = () => {
    while (waiting.length > 0 && inside < (share.requests ?? Infinity)) {
      inside += 1;
      waiting.shift()?.();
    }
  };
  const leaver = () => {
    let left = false;
    return () => {
      if (left) return;
      left = true;
      inside -= 1;
      admit();
    };
  };
  return {
    set: (next) => {
      share = next;
      admit();
    },
    enter: (signal) =>
      new Promise((resolve, reject) => {
        const go = () => {
          signal.removeEventListener("abort", give);
          resolve(leaver());
        };
        const give = () => {
          waiting.splice(waiting.indexOf(go), 1);
          reject(signal.reason);
        };
        if (signal.aborted) return reject(signal.reason);
        signal.addEventListener("abort", give, { once: true });
        waiting.push(go);
        admit();
      }),
    take: async (bytes, signal) => {
      if (share.bytesPerSecond !== null) await line.take(bytes, signal);
    },
  };
}

type Gated = Pick<ObjectStore, "read" | "write">;

/** The same store behind a gate; a read keeps its place until its stream has ended in whatever way. */
export function gatedStore<S extends Gated>(store: S, gate: StoreGate): S {
  return {
    ...store,
    read: async (key, range, signal) => {
      const leave = await gate.enter(signal);
      try {
        if (range) await gate.take(range.lengthBytes, signal);
        return untilEnded(await store.read(key, range, signal), { gate, leave, pays: range === null, signal });
      } catch (error) {
        leave();
        throw error;
      }
    },
    write: async (key, body, sha256, signal) => {
      const leave = await gate.enter(signal);
      try {
        await gate.take(body.byteLength, signal);
        return await store.write(key, body, sha256, signal);
      } finally {
        leave();
      }
    },
  };
}

/** As the streams of stores have it for readers without memory of their own. */
const pieceBytes = 1 << 18;

/** Of a whole object nobody knew the length before: its parts are paid for as they come. */
function untilEnded(
  stream: ReadableStream<Uint8Array>,
  { gate, leave, pays, signal }: { gate: StoreGate; leave: () => void; pays: boolean; signal: AbortSignal },
): ReadableStream<Uint8Array> {
  const parts = stream[Symbol.asyncIterator]();
  let held: Uint8Array = new Uint8Array();
  const pull = async (controller: ReadableByteStreamController) => {
    const asked = controller.byobRequest;
    if (!asked?.view) return;
    try {
      const { buffer, byteOffset, byteLength } = asked.view;
      const filled = await intoRoom(new Uint8Array(buffer, byteOffset, byteLength));
      if (filled === 0) {
        leave();
        controller.close();
      }
      asked.respond(filled);
    } catch (error) {
      leave();
      throw error;
    }
  };
  const intoRoom = async (room: Uint8Array): Promise<number> => {
    while (held.byteLength === 0) {
      const { done, value } = await parts.next();
      if (done === true) return 0;
      if (pays) await gate.take(value.byteLength, signal);
      held = value;
    }
    const fitting = held.subarray(0, room.byteLength);
    room.set(fitting);
    held = held.subarray(fitting.byteLength);
    return fitting.byteLength;
  };
  const cancel = async () => {
    leave();
    await parts.return?.();
  };
  return new ReadableStream({ type: "bytes", autoAllocateChunkSize: pieceBytes, pull, cancel });
}
