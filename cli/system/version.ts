/** `drover version`: asks nobody, so that it works where nothing else does. */
import type { Context } from "../context.ts";

export async function version(context: Context): Promise<void> {
  const drover = await context.parts.version();
  const { version: node, platform, arch } = process;
  context.show({ drover, node: node.slice(1), platform, arch }, () => `drover ${drover} (Node ${node.slice(1)}, ${platform} ${arch})`);
}
