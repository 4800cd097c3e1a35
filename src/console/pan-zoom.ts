/**
 * Moves and scales what is in a box: by mouse, wheel, one finger or two, and by keyboard. It changes a transform through
 * the style object, which a strict policy for content allows.
 */

export const SCALE_MIN = 0.1;
export const SCALE_MAX = 6;
const KEY_STEP = 60;
const ZOOM_STEP = 1.25;

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** The part of the layer that is in sight, in its own coordinates. */
export interface View {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Below this scale text is hard to read: what does not fit at it is shown in part, around what is of interest. */
const SCALE_READABLE = 0.85;
const SCALE_FIT_MAX = 1.35;
const MARGIN = 24;

export class PanZoom {
  readonly #box: HTMLElement;
  readonly #layer: HTMLElement;
  readonly #size: () => Size;
  readonly #onView: (view: View) => void;
  readonly #pointers = new Map<number, { x: number; y: number }>();
  readonly #ends = new AbortController();
  #x = 0;
  #y = 0;
  #scale = 1;
  /** `free`: somebody has moved it, and it stays. */
  #mode: 'follow' | 'all' | 'free' = 'follow';
  /** What is to be in sight, in the layer's own coordinates. */
  #interest: DOMRectReadOnly | null = null;

  constructor(box: HTMLElement, layer: HTMLElement, size: () => Size, onView: (view: View) => void = () => {}) {
    this.#box = box;
    this.#layer = layer;
    this.#size = size;
    this.#onView = onView;
    const { signal } = this.#ends;
    box.addEventListener('wheel', (event) => this.#wheel(event), { signal, passive: false });
    box.addEventListener('pointerdown', (event) => this.#down(event), { signal });
    box.addEventListener('pointermove', (event) => this.#move(event), { signal });
    for (const name of ['pointerup', 'pointercancel'] as const) {
      box.addEventListener(name, (event) => this.#pointers.delete(event.pointerId), { signal });
    }
    box.addEventListener('keydown', (event) => this.#key(event), { signal });
    const watch = new ResizeObserver(() => {
      this.#layer.classList.remove('gliding');
      if (this.#mode === 'all') this.fit();
      else if (this.#mode === 'follow') this.follow();
      else this.#apply();
    });
    watch.observe(box);
    signal.addEventListener('abort', () => watch.disconnect());
  }

  end(): void {
    this.#ends.abort();
  }

  /** All of it, in the middle. */
  fit(): void {
    const { width, height } = this.#size();
    const { clientWidth, clientHeight } = this.#box;
    if (width <= 0 || height <= 0 || clientWidth === 0) return;
    this.#scale = Math.min(Math.max(this.#fitting(), SCALE_MIN), SCALE_FIT_MAX);
    this.#x = (clientWidth - width * this.#scale) / 2;
    this.#y = (clientHeight - height * this.#scale) / 2;
    this.#mode = 'all';
    this.#apply();
  }

  /** At a scale that can be read, with what is of interest in sight; follows it from here on. */
  follow(): void {
    const { width, height } = this.#size();
    const { clientWidth, clientHeight } = this.#box;
    if (width <= 0 || height <= 0 || clientWidth === 0) return;
    this.#scale = Math.min(Math.max(this.#fitting(), SCALE_READABLE), SCALE_FIT_MAX);
    const { x, y, width: wide, height: high } = this.#interest ?? new DOMRect(width / 2, 0, 0, 0);
    this.#x = placed((x + wide / 2) * this.#scale, width * this.#scale, clientWidth);
    this.#y = placed((y + high / 2) * this.#scale, height * this.#scale, clientHeight);
    this.#mode = 'follow';
    this.#apply();
  }

  /** An element of the layer that is of interest now; moves there unless somebody has moved it elsewhere. */
  interest(element: Element): void {
    const layer = this.#layer.getBoundingClientRect();
    const { x, y, width, height } = element.getBoundingClientRect();
    const scale = layer.width / Math.max(this.#layer.offsetWidth, 1);
    const isFirst = this.#interest === null;
    this.#interest = new DOMRect((x - layer.x) / scale, (y - layer.y) / scale, width / scale, height / scale);
    if (this.#mode !== 'follow') return;
    this.#layer.classList.toggle('gliding', !isFirst);
    this.follow();
  }

  #fitting(): number {
    const { width, height } = this.#size();
    return Math.min((this.#box.clientWidth - MARGIN) / width, (this.#box.clientHeight - MARGIN) / height);
  }

  /** Moves so that this point of the layer is in the middle. */
  centre(x: number, y: number): void {
    this.#x = this.#box.clientWidth / 2 - x * this.#scale;
    this.#y = this.#box.clientHeight / 2 - y * this.#scale;
    this.#mode = 'free';
    this.#layer.classList.remove('gliding');
    this.#apply();
  }

  zoom(factor: number): void {
    this.#zoomAt(factor, this.#box.clientWidth / 2, this.#box.clientHeight / 2);
  }

  #zoomAt(factor: number, x: number, y: number): void {
    const scale = Math.min(Math.max(this.#scale * factor, SCALE_MIN), SCALE_MAX);
    const by = scale / this.#scale;
    this.#x = x - (x - this.#x) * by;
    this.#y = y - (y - this.#y) * by;
    this.#scale = scale;
    this.#mode = 'free';
    this.#layer.classList.remove('gliding');
    this.#apply();
  }

  #pan(x: number, y: number): void {
    this.#x += x;
    this.#y += y;
    this.#mode = 'free';
    this.#layer.classList.remove('gliding');
    this.#apply();
  }

  #wheel(event: WheelEvent): void {
    event.preventDefault();
    const { left, top } = this.#box.getBoundingClientRect();
    // A trackpad pans with two fingers and sends ctrl with a pinch; a wheel turns in larger steps, and only one way.
    const isWheel = event.ctrlKey || event.metaKey || (event.deltaX === 0 && Math.abs(event.deltaY) >= 50);
    if (isWheel) this.#zoomAt(Math.exp(-event.deltaY / 400), event.clientX - left, event.clientY - top);
    else this.#pan(-event.deltaX, -event.deltaY);
  }

  #down(event: PointerEvent): void {
    if (event.button !== 0) return;
    this.#box.setPointerCapture(event.pointerId);
    this.#pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  }

  #move(event: PointerEvent): void {
    const before = this.#pointers.get(event.pointerId);
    if (before === undefined) return;
    const [other] = [...this.#pointers].filter(([id]) => id !== event.pointerId);
    if (other === undefined) this.#pan(event.clientX - before.x, event.clientY - before.y);
    else {
      const [, { x, y }] = other;
      const { left, top } = this.#box.getBoundingClientRect();
      const was = Math.hypot(before.x - x, before.y - y);
      const is = Math.hypot(event.clientX - x, event.clientY - y);
      if (was > 0 && is > 0) this.#zoomAt(is / was, (event.clientX + x) / 2 - left, (event.clientY + y) / 2 - top);
      this.#pan((event.clientX - before.x) / 2, (event.clientY - before.y) / 2);
    }
    before.x = event.clientX;
    before.y = event.clientY;
  }

  #key(event: KeyboardEvent): void {
    const moves: Readonly<Record<string, () => void>> = {
      ArrowLeft: () => this.#pan(KEY_STEP, 0),
      ArrowRight: () => this.#pan(-KEY_STEP, 0),
      ArrowUp: () => this.#pan(0, KEY_STEP),
      ArrowDown: () => this.#pan(0, -KEY_STEP),
      '+': () => this.zoom(ZOOM_STEP),
      '=': () => this.zoom(ZOOM_STEP),
      '-': () => this.zoom(1 / ZOOM_STEP),
      '0': () => this.fit(),
      '.': () => this.follow(),
    };
    const move = moves[event.key];
    if (move === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    move();
  }

  #apply(): void {
    this.#layer.style.setProperty('transform', `translate(${this.#x}px, ${this.#y}px) scale(${this.#scale})`);
    const { clientWidth, clientHeight } = this.#box;
    const scale = this.#scale;
    this.#onView({
      x: -this.#x / scale,
      y: -this.#y / scale,
      width: clientWidth / scale,
      height: clientHeight / scale,
    });
  }
}

/** Where a layer of so many px lies in a box, with the point `at` of it as near to the middle as leaves no empty side. */
function placed(at: number, size: number, box: number): number {
  if (size + MARGIN <= box) return (box - size) / 2;
  return Math.min(Math.max(box / 2 - at, box - size - MARGIN / 2), MARGIN / 2);
}
