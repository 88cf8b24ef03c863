/**
 * Prometheus metrics of one agent, prefix `hs_`. What others count is asked of them at the time of a scrape: they add a collector
 * that returns samples, and need not know the library.
 */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'

export const METRICS_PREFIX = 'hs_'

export interface Sample {
  /** Without the prefix. Counters end in `_total`, quantities in their unit. */
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge'
  readonly value: number
  /** Always the same label names for one metric, each with few values. */
  readonly labels?: Readonly<Record<string, string>>
}

export type SampleCollector = () => Iterable<Sample>

export interface Metrics {
  readonly contentType: string
  /** The text of a scrape. */
  text(): Promise<string>
  /** Asks `collect` at every scrape. A series that it no longer returns is gone from the next scrape. */
  addCollector(collect: SampleCollector): void
  observeRequest(request: { readonly method: string; readonly route: string; readonly status: number; readonly durationMs: number }): void
}

const DURATION_BUCKETS_SECONDS = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30]

export function createMetrics(): Metrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry, prefix: METRICS_PREFIX })
  const requests = new Histogram({
    name: `${METRICS_PREFIX}http_request_duration_seconds`,
    help: 'Duration of HTTP requests, from the first byte to the last, and their number by method, route and status.',
    labelNames: ['method', 'route', 'status'] as const,
    buckets: DURATION_BUCKETS_SECONDS,
    registers: [registry],
  })
  const collectors: SampleCollector[] = []
  const metricByName = new Map<string, Counter | Gauge>()

  const metricOf = ({ name, help, type, labels }: Sample): Counter | Gauge => {
    let metric = metricByName.get(name)
    if (metric === undefined) {
      const settings = { name: METRICS_PREFIX + name, help, labelNames: Object.keys(labels ?? {}), registers: [registry] }
      metric = type === 'counter' ? new Counter(settings) : new Gauge(settings)
      metricByName.set(name, metric)
    }
    return metric
  }

  return {
    contentType: registry.contentType,
    text() {
      for (const metric of metricByName.values()) metric.reset()
      for (const collect of collectors) {
        for (const sample of collect()) metricOf(sample).inc(sample.labels ?? {}, sample.value)
      }
      return registry.metrics()
    },
    addCollector: collect => void collectors.push(collect),
    observeRequest({ method, route, status, durationMs }) {
      requests.observe({ method, route, status: String(status) }, durationMs / 1000)
    },
  }
}
