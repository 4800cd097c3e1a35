/** A promise with its two ends. */
export class Deferred<T> {
  readonly promise: Promise<T>;
  // Declared alone: one is made for every record, and its promise sets both at once.
  declare resolve: (value: T) => void;
  declare reject: (reason: unknown) => void;

  constructor() {
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }
}
