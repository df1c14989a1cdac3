/**
 * What the gateway counts: open long polls, refusals by code, bytes carried for stores that cannot sign requests.
 */
import { Counter, Gauge, type Registry } from "prom-client";

export interface GatewayMetrics {
  readonly polls: Gauge;
  readonly refusals: Counter<"code">;
  readonly carriedBytes: Counter<"direction">;
}

export function gatewayMetrics(registry: Registry): GatewayMetrics {
  const registers = [registry];
  return {
    polls: new Gauge({ name: "drover_gateway_open_polls", help: "Long polls of hosts that wait for work.", registers }),
    refusals: new Counter({
      name: "drover_gateway_refusals_total",
      help: "Calls and requests refused, by code.",
      labelNames: ["code"],
      registers,
    }),
    carriedBytes: new Counter({
      name: "drover_gateway_carried_bytes_total",
      help: "Bytes of objects carried between hosts and stores.",
      labelNames: ["direction"],
      registers,
    }),
  };
}
