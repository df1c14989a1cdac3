/**
 * Figures of the API for `/metrics`.
 *
 * The one idea: requests are counted by the route's pattern and never by their path, so the number of series does not grow with the number of machines.
 */
import { collectDefaultMetrics, Counter, Histogram, Registry } from "prom-client";

export interface Metrics {
  readonly registry: Registry;
  answered(request: { method: string; route: string; status: number; seconds: number }): void;
  /** A request that was not let in, since the process was late or had enough of them. */
  refused(reason: "delay" | "open"): void;
}

/** From a cached read to a synchronous provisioning. */
const buckets = [0.005, 0.02, 0.1, 0.5, 2, 10, 60, 600];

export function apiMetrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const requests = new Histogram({
    name: "drover_api_request_duration_seconds",
    help: "Time from a request to its answer.",
    labelNames: ["method", "route", "status"],
    buckets,
    registers: [registry],
  });
  const known = new Map<string, { observe(seconds: number): void }>();
  const refusals = new Counter({
    name: "drover_api_refused_total",
    help: "Requests that were asked to come again, because this process was overloaded.",
    labelNames: ["reason"],
    registers: [registry],
  });
  return {
    registry,
    refused: (reason) => refusals.inc({ reason }),
    answered: ({ seconds, status, method, route }) => {
      // Found by one word rather than by labels that are hashed anew for each request.
      const word = `${method} ${status} ${route}`;
      const series = known.get(word) ?? requests.labels({ method, route, status: String(status) });
      known.set(word, series);
      series.observe(seconds);
    },
  };
}
