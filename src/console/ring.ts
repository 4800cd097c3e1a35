/** The newest `size` items, oldest first; adding one more drops the oldest. */
export class Ring<Item> {
  readonly #size: number;
  readonly #items: Item[] = [];
  #start = 0;
  /** How many were ever added: the number of the next one. */
  added = 0;

  constructor(size: number) {
    this.#size = size;
  }

  get length(): number {
    return this.#items.length;
  }

  push(item: Item): void {
    this.added += 1;
    if (this.#items.length < this.#size) {
      this.#items.push(item);
      return;
    }
    this.#items[this.#start] = item;
    this.#start = (this.#start + 1) % this.#size;
  }

  /** `index` 0 is the oldest that is kept, −1 the newest. */
  at(index: number): Item | undefined {
    const from = index < 0 ? this.#items.length + index : index;
    if (from < 0 || from >= this.#items.length) return undefined;
    return this.#items[(this.#start + from) % this.#items.length];
  }

  /** Items that `wanted` takes, newest first, at most `limit`. */
  newest(limit: number, wanted: (item: Item) => boolean = () => true): Item[] {
    const found: Item[] = [];
    for (let index = this.#items.length - 1; index >= 0 && found.length < limit; index -= 1) {
      const item = this.at(index);
      if (item !== undefined && wanted(item)) found.push(item);
    }
    return found;
  }

  copy(): Ring<Item> {
    const ring = new Ring<Item>(this.#size);
    for (let index = 0; index < this.length; index += 1) ring.push(this.at(index) as Item);
    return ring;
  }
}
