/** Typed events with an unsubscribe function; the same surface in browser and Node. */

export class Emitter<Events extends object> {
  readonly #listeners = new Map<keyof Events, Set<(value: never) => void>>();

  /** Calls `listener` on every event of that name until the returned function is called; once, however often it is registered. */
  on<Name extends keyof Events>(name: Name, listener: (value: Events[Name]) => void): () => void {
    let listeners = this.#listeners.get(name);
    if (listeners === undefined) {
      listeners = new Set();
      this.#listeners.set(name, listeners);
    }
    const entries = listeners.add(listener);
    return () => void entries.delete(listener);
  }

  emit<Name extends keyof Events>(name: Name, value: Events[Name]): void {
    for (const listener of this.#listeners.get(name) ?? []) {
      try {
        (listener as (value: Events[Name]) => void)(value);
      } catch (error) {
        // A listener's defect is reported as uncaught, and never breaks the frame that is being worked on.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}
