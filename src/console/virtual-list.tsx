/**
 * A list of any length of which only the rows in sight are made. All rows are equally high. Looked at from its top it
 * shows what is newest; scrolled away it keeps its place.
 */
import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';

export interface VirtualListProps<Item> {
  readonly items: readonly Item[];
  readonly rowHeight: number;
  readonly label: string;
  readonly row: (item: Item, index: number) => JSX.Element;
  readonly keyOf: (item: Item) => string | number;
  /** Brought into sight whenever it changes. */
  readonly activeIndex?: number;
  /** `list`, or what a composite is made of. */
  readonly role?: 'list' | 'tree';
  readonly activeId?: string | undefined;
  readonly onKeyDown?: (event: KeyboardEvent) => void;
  readonly onScrolled?: (top: number) => void;
}

/** Rows above and below those in sight. */
const MARGIN = 8;

export function VirtualList<Item>(props: VirtualListProps<Item>): JSX.Element {
  const { items, rowHeight, activeIndex = -1 } = props;
  const box = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(400);
  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    const watch = new ResizeObserver(() => setHeight(element.clientHeight));
    watch.observe(element);
    return () => watch.disconnect();
  }, []);
  useEffect(() => {
    const element = box.current;
    if (element === null || activeIndex < 0) return;
    const place = activeIndex * rowHeight;
    if (place < element.scrollTop) element.scrollTop = place;
    else if (place + rowHeight > element.scrollTop + element.clientHeight) {
      element.scrollTop = place + rowHeight - element.clientHeight;
    }
  }, [activeIndex, rowHeight]);
  const first = Math.max(Math.floor(top / rowHeight) - MARGIN, 0);
  const shown = items.slice(first, Math.ceil((top + height) / rowHeight) + MARGIN);
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: its role is given, and it takes the keys for its rows.
    // biome-ignore lint/a11y/useAriaPropsSupportedByRole: a tree has an active descendant; a list is given none.
    <div
      ref={box}
      class="virtual"
      role={props.role ?? 'list'}
      aria-label={props.label}
      aria-activedescendant={props.activeId}
      tabIndex={0}
      onKeyDown={props.onKeyDown}
      onScroll={({ currentTarget }) => {
        setTop(currentTarget.scrollTop);
        props.onScrolled?.(currentTarget.scrollTop);
      }}
    >
      <div class="virtual-space" role="presentation" style={{ height: `${items.length * rowHeight}px` }}>
        <div class="virtual-rows" role="presentation" style={{ transform: `translateY(${first * rowHeight}px)` }}>
          {shown.map((item, index) => (
            <div class="virtual-row" role="presentation" key={props.keyOf(item)} style={{ height: `${rowHeight}px` }}>
              {props.row(item, first + index)}
            </div>
          ))}
        </div>
      </div>
    </div>
  );
}
