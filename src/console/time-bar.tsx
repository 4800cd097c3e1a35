/** The bar at the foot of every view: where in time one looks, and the way there and back. */
import type { JSX } from 'preact';
import { clockText, durationText, exactClockText } from './format.ts';
import { Icon } from './icons.tsx';
import { goLive, isPlaying, moment, pause, play, seek, shownRecording } from './player.ts';
import { link, live, pulse } from './store.ts';

export function TimeBar(): JSX.Element {
  pulse.value;
  const recording = shownRecording.value;
  const { from, to } = recording;
  const at = moment.value;
  const isLive = at === null;
  if (from === null || to === null) return <footer class="timebar" />;
  return (
    <footer class={isLive ? 'timebar' : 'timebar replaying'}>
      <button
        type="button"
        class="quiet square"
        aria-label={isPlaying.value ? 'Pause the replay' : 'Replay from here'}
        onClick={() => (isPlaying.value ? pause() : play())}
      >
        <Icon name={isPlaying.value ? 'pause' : 'play'} />
      </button>
      <TimeSlider label="Moment shown" />
      <output class="time-shown">{isLive ? clockText(live.value.at) : exactClockText(at)}</output>
      {isLive ? (
        <span class="time-kept wide">{durationText(to - from)} kept</span>
      ) : (
        <button type="button" class="primary small" onClick={goLive}>
          {link.value === 'file' ? 'To its end' : 'Back to live'}
        </button>
      )}
    </footer>
  );
}

export function TimeSlider({ label }: { readonly label: string }): JSX.Element {
  pulse.value;
  const { from, to } = shownRecording.value;
  const at = moment.value ?? to ?? 0;
  return (
    <input
      type="range"
      class="slider"
      aria-label={label}
      aria-valuetext={exactClockText(at)}
      min={from ?? 0}
      max={to ?? 0}
      step={10}
      value={at}
      onInput={({ currentTarget }) => {
        pause();
        seek(Number(currentTarget.value));
      }}
    />
  );
}
