/** The few pictures of the page, drawn in the colour of the text beside them; never the only bearer of a meaning. */
import type { JSX } from 'preact';

const paths = {
  overview: 'M3 3h6v8H3zM11 3h6v4h-6zM11 9h6v8h-6zM3 13h6v4H3z',
  charts: 'M3 3h5v4H3zM12 8h5v4h-5zM5 13h5v4H5zM8 5h6.5v3M5.5 7v6M14.5 12v3H10',
  shutdown: 'M10 2.5v7M6 4.8a6.5 6.5 0 1 0 8 0',
  topics: 'M3 5h14M3 10h14M3 15h9',
  time: 'M10 5.5V10l3 2M10 17a7 7 0 1 0-7-7M3 10l-1.5-2M3 10l2-1.6',
  ok: 'M4.5 10.5l3.5 3.5 7.5-8',
  bad: 'M5.5 5.5l9 9M14.5 5.5l-9 9',
  warning: 'M10 3L18 16.5H2zM10 8v4M10 14v.6',
  sun: 'M10 6.5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7zM10 2v2M10 16v2M2 10h2M16 10h2M4.3 4.3l1.4 1.4M14.3 14.3l1.4 1.4M15.7 4.3l-1.4 1.4M5.7 14.3l-1.4 1.4',
  moon: 'M16 11.5A6.5 6.5 0 1 1 8.5 4a5.2 5.2 0 0 0 7.5 7.5z',
  system: 'M3 4h14v9.5H3zM7.5 16.5h5M10 13.5v3',
  play: 'M6 4l10 6-10 6z',
  pause: 'M6.5 4v12M13.5 4v12',
  record: 'M10 5a5 5 0 1 0 0 10 5 5 0 0 0 0-10z',
  open: 'M3 15.5v-11h5l1.5 2H17v9z',
  save: 'M10 3v9.5M6 9l4 4 4-4M3.5 16.5h13',
  plus: 'M10 4v12M4 10h12',
  minus: 'M4 10h12',
  fit: 'M3 7V3h4M17 7V3h-4M3 13v4h4M17 13v4h-4',
  right: 'M7.5 4.5L13 10l-5.5 5.5',
  down: 'M4.5 7.5L10 13l5.5-5.5',
  target: 'M10 4.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11zM10 1.5v4M10 14.5v4M1.5 10h4M14.5 10h4',
  send: 'M3 10l14-6-5 14-3-6z',
} as const;

export type IconName = keyof typeof paths;

export function Icon({ name, class: extra = '' }: { readonly name: IconName; readonly class?: string }): JSX.Element {
  return (
    <svg class={`icon ${extra}`} viewBox="0 0 20 20" aria-hidden="true" focusable="false">
      <path d={paths[name]} />
    </svg>
  );
}
