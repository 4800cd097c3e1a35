/** A state in a word, a shape and a colour: the colour never alone. */
import type { JSX } from 'preact';
import { plainText } from './plain-text.ts';

export type Tone = 'good' | 'busy' | 'warning' | 'bad' | 'idle';

const tones: Readonly<Record<string, Tone>> = {
  running: 'good',
  ready: 'good',
  serving: 'good',
  accepting: 'good',
  active: 'good',
  released: 'good',
  closed: 'idle',
  done: 'idle',
  stopped: 'idle',
  starting: 'busy',
  opening: 'busy',
  recovering: 'busy',
  binding: 'busy',
  announcing: 'warning',
  draining: 'busy',
  drained: 'busy',
  flushing: 'busy',
  releasing: 'busy',
  closing: 'busy',
  handshaking: 'busy',
  leaving: 'busy',
  warned: 'warning',
  failing: 'bad',
  failed: 'bad',
  abandoned: 'bad',
  error: 'bad',
};

const shapes: Readonly<Record<Tone, string>> = { good: '●', busy: '◐', warning: '▲', bad: '✕', idle: '■' };

/** By the outermost name of the state. */
export function toneOf(state: string): Tone {
  return tones[state.split(/[. ]/)[0] ?? ''] ?? 'idle';
}

export function StateBadge({ state }: { readonly state: string }): JSX.Element {
  const tone = toneOf(state);
  return (
    <span class={`badge tone-${tone}`}>
      <span class="shape" aria-hidden="true">
        {shapes[tone]}
      </span>
      {plainText(state, 40)}
    </span>
  );
}
