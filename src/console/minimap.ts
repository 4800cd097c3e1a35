/**
 * The whole of a chart, small, in a corner of the box that shows a part of it: what is lit and where, and which part is
 * seen. Pressing or dragging in it moves there. There only while the box does not show everything; for eyes and pointers,
 * since keys move the chart itself.
 */
import type { PanZoom, Size, View } from './pan-zoom.ts';

const WIDTH_MAX = 190;
const HEIGHT_MAX = 150;
/** A smaller box has no corner to spare, px. */
const BOX_WIDTH_MIN = 520;
const NAMESPACE = 'http://www.w3.org/2000/svg';

export class Minimap {
  readonly #box: HTMLElement;
  readonly #size: Size;
  readonly #seen: SVGRectElement;
  readonly #element: HTMLElement;
  readonly picture: SVGSVGElement;
  readonly #ends = new AbortController();

  /** `picture`: the chart, of which it makes a small copy; `element`: where that goes. */
  constructor(box: HTMLElement, element: HTMLElement, picture: SVGSVGElement, size: Size) {
    this.#box = box;
    this.#element = element;
    this.#size = size;
    const scale = Math.min(WIDTH_MAX / size.width, HEIGHT_MAX / size.height);
    const copy = picture.cloneNode(true) as SVGSVGElement;
    copy.setAttribute('width', String(size.width * scale));
    copy.setAttribute('height', String(size.height * scale));
    for (const text of copy.querySelectorAll('text')) text.remove();
    this.#seen = document.createElementNS(NAMESPACE, 'rect');
    this.#seen.setAttribute('class', 'seen');
    copy.append(this.#seen);
    this.picture = copy;
    element.replaceChildren(copy);
  }

  /** Moves the chart by what is pressed here. */
  steer(panZoom: PanZoom): void {
    const { signal } = this.#ends;
    const go = (event: PointerEvent): void => {
      const { left, top, width, height } = this.picture.getBoundingClientRect();
      if (width === 0 || height === 0) return;
      const x = ((event.clientX - left) / width) * this.#size.width;
      const y = ((event.clientY - top) / height) * this.#size.height;
      panZoom.centre(x, y);
    };
    this.#element.addEventListener(
      'pointerdown',
      (event) => {
        this.#element.setPointerCapture(event.pointerId);
        go(event);
      },
      { signal },
    );
    this.#element.addEventListener(
      'pointermove',
      (event) => {
        if (this.#element.hasPointerCapture(event.pointerId)) go(event);
      },
      { signal },
    );
  }

  /** The part that the box shows, in the chart's own coordinates. */
  show({ x, y, width, height }: View): void {
    const all = x <= 0 && y <= 0 && x + width >= this.#size.width && y + height >= this.#size.height;
    this.#element.hidden = all || this.#box.clientWidth < BOX_WIDTH_MIN;
    // Coordinates of the view box, which may begin elsewhere than at 0.
    const { x: left, y: top } = this.picture.viewBox.baseVal;
    for (const [name, value] of Object.entries({ x: x + left, y: y + top, width, height })) {
      this.#seen.setAttribute(name, String(value));
    }
  }

  end(): void {
    this.#ends.abort();
    this.#element.replaceChildren();
  }
}
