/**
 * A metric as a sentence: name, type, help, labels, and how it is read from whatever is measured. Nothing is kept from
 * one scrape to the next: every figure is read when the text is asked for. The one file that knows prom-client; each
 * text has a registry of its own, and none is global.
 */
import { Counter, Gauge, Histogram, type HistogramConfiguration, Registry } from 'prom-client';
import type { Distribution } from './shard/distribution.ts';

export type Labels = Readonly<Record<string, string>>;
export type Sample<Value = number> = readonly [value: Value, labels?: Labels];

interface Named {
  /** By the Prometheus guide: base units, the unit last, `_total` for what only grows. */
  readonly name: string;
  readonly help: string;
  readonly labels: readonly string[];
}

/** `read` gives the samples of a moment; none is an answer too. */
export type MetricFamily<Source> =
  | (Named & { readonly type: 'gauge' | 'counter'; readonly read: (source: Source) => readonly Sample[] })
  | (Named & {
      readonly type: 'histogram';
      readonly bounds: readonly number[];
      readonly read: (source: Source) => readonly Sample<Distribution>[];
    });

/** All families as text of the exposition format, version 0.0.4. */
export class MetricsText<Source> {
  readonly #registry = new Registry();
  /** What the scrape under way reads: one moment for all families. */
  #source: Source | null = null;

  constructor(families: readonly MetricFamily<Source>[]) {
    for (const family of families) this.#add(family);
  }

  /** Reads every family before it returns; resolves with the text. */
  of(source: Source): Promise<string> {
    this.#source = source;
    const text = this.#registry.metrics();
    this.#source = null;
    return text;
  }

  #add(family: MetricFamily<Source>): void {
    const { name, help } = family;
    const shape = { name, help, labelNames: [...family.labels], registers: [this.#registry] };
    if (family.type === 'histogram') {
      new CountedHistogram({ ...shape, buckets: [...family.bounds] }, () => this.#read(family.read));
    } else if (family.type === 'counter') {
      const counter: Counter = new Counter({ ...shape, collect: () => this.#fill(counter, family.read, counter.inc) });
    } else {
      const gauge: Gauge = new Gauge({ ...shape, collect: () => this.#fill(gauge, family.read, gauge.set) });
    }
  }

  #fill<Metric extends { reset(): void; remove(labels: Labels): void }>(
    metric: Metric,
    read: (source: Source) => readonly Sample[],
    put: (this: Metric, labels: Labels, value: number) => void,
  ): void {
    metric.reset();
    // Without labels a reset leaves a zero behind, and that would be an answer where there is none.
    metric.remove({});
    for (const [value, labels = {}] of this.#read(read)) put.call(metric, labels, value);
  }

  #read<Value>(read: (source: Source) => readonly Sample<Value>[]): readonly Sample<Value>[] {
    return this.#source === null ? [] : read(this.#source);
  }
}

interface HistogramValue {
  readonly metricName: string;
  readonly labels: Labels;
  readonly value: number;
}

/** A histogram whose buckets are counted elsewhere. */
class CountedHistogram extends Histogram {
  readonly #shape: { readonly name: string; readonly help: string; readonly type: 'histogram' };
  readonly #samples: () => readonly Sample<Distribution>[];

  constructor(shape: HistogramConfiguration<string>, samples: () => readonly Sample<Distribution>[]) {
    super(shape);
    this.#shape = { name: shape.name, help: shape.help, type: 'histogram' };
    this.#samples = samples;
  }

  /** What a registry asks a histogram for when it writes text. */
  async getForPromString() {
    const values = this.#samples().flatMap(([distribution, labels = {}]) => this.#valuesOf(distribution, labels));
    return { ...this.#shape, values };
  }

  #valuesOf(distribution: Distribution, labels: Labels): HistogramValue[] {
    const { name } = this.#shape;
    const { bounds, count, sum } = distribution;
    const buckets = distribution.cumulative().map((upTo, at): HistogramValue => {
      return { metricName: `${name}_bucket`, labels: { ...labels, le: String(bounds[at]) }, value: upTo };
    });
    return [
      ...buckets,
      { metricName: `${name}_bucket`, labels: { ...labels, le: '+Inf' }, value: count },
      { metricName: `${name}_sum`, labels, value: sum },
      { metricName: `${name}_count`, labels, value: count },
    ];
  }
}
