/**
 * The charts that a hub has told its viewers of, and their pictures, which are drawn aside and come later. Made by the
 * hub, which empties it when nobody looks any more.
 */
import type { Chart } from './chart.ts';
import type { MachineFrame } from './frames.ts';
import { pictureOf } from './picture-drawer.ts';

export interface ChartShelfOptions {
  /** Takes a chart again once its picture is drawn. */
  readonly drawn: (frame: MachineFrame) => void;
  readonly failed: (error: unknown, what: string) => void;
}

export class ChartShelf {
  readonly #options: ChartShelfOptions;
  readonly #charts = new Map<string, Chart>();
  /** By hash; '' while it is drawn. */
  readonly #pictures = new Map<string, string>();

  constructor(options: ChartShelfOptions) {
    this.#options = options;
  }

  has(hash: string): boolean {
    return this.#charts.has(hash);
  }

  /** The configuration of a machine as JSON; null where its hash is not known. */
  configOf(hash: string): string | null {
    return this.#charts.get(hash)?.config ?? null;
  }

  /** A chart for viewers; the first time, its picture is begun. */
  frame(chart: Chart): MachineFrame {
    if (!this.#charts.has(chart.hash)) {
      this.#charts.set(chart.hash, chart);
      this.#pictures.set(chart.hash, '');
      this.#draw(chart);
    }
    return this.#frame(chart);
  }

  clear(): void {
    this.#charts.clear();
    this.#pictures.clear();
  }

  #draw(chart: Chart): void {
    const { hash, definition } = chart;
    const { drawn, failed } = this.#options;
    void pictureOf(hash, definition, (why) => failed(new Error(why), 'drawing a chart')).then((picture) => {
      // Emptied meanwhile: there is nobody to tell.
      if (picture === '' || this.#charts.get(hash) !== chart) return;
      this.#pictures.set(hash, picture);
      drawn(this.#frame(chart));
    });
  }

  #frame({ hash, definition }: Chart): MachineFrame {
    return { type: 'machine', hash, id: definition.id, definition, picture: this.#pictures.get(hash) ?? '' };
  }
}
