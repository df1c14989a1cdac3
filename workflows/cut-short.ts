/** Runs `act` until it ends or `met` comes true, which cancels it; whoever calls tells by `met` why it was cancelled. */
import { CancellationScope, condition } from "@temporalio/workflow";

export async function cutShort<T>(met: () => boolean, act: () => Promise<T>): Promise<T> {
  const scope = new CancellationScope();
  const work = scope.run(act);
  const watch = new CancellationScope();
  const watching = watch
    .run(() => condition(met))
    .then(
      () => scope.cancel(),
      () => undefined,
    );
  try {
    return await work;
  } finally {
    watch.cancel();
    await watching;
  }
}
