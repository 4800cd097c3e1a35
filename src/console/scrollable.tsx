/** A part of the page that scrolls by itself, with a name, and reachable by keyboard. */
import type { ComponentChildren, JSX } from 'preact';

export interface ScrollableProps {
  readonly label: string;
  readonly class: string;
  readonly children: ComponentChildren;
}

export function Scrollable({ label, class: name, children }: ScrollableProps): JSX.Element {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reachable by keyboard.
    <section class={name} tabIndex={0} aria-label={label}>
      {children}
    </section>
  );
}
