/** What was recorded: how much, a way to any moment of it, to a file, and back from one. */
import type { JSX } from 'preact';
import { useRef } from 'preact/hooks';
import { bytesText, counted, countText, dateText, durationText, exactClockText } from '../format.ts';
import { Icon } from '../icons.tsx';
import { plainText } from '../plain-text.ts';
import {
  fileName,
  goLive,
  isOpening,
  isPlaying,
  moment,
  openRecording,
  pause,
  play,
  recordingBlob,
  seek,
  shownRecording,
  speed,
  speeds,
} from '../player.ts';
import type { Recording } from '../recording.ts';
import { isRecording, link, opened, pulse, RECORDING_BYTES_MAX, say } from '../store.ts';
import { TimeSlider } from '../time-bar.tsx';

const BARS = 120;
const WIDTH = 960;
const HEIGHT = 96;

export function TimeView(): JSX.Element {
  pulse.value;
  const recording = shownRecording.value;
  const { from, to } = recording;
  const file = opened.value;
  return (
    <>
      <section class="card">
        <h2>{file === null ? 'The flight recorder' : plainText(file.name, 80)}</h2>
        {from === null || to === null ? (
          <p class="hint">Nothing has been recorded yet.</p>
        ) : (
          <>
            <p class="hint">
              {dateText(from)} – {dateText(to)} · {durationText(to - from)} ·{' '}
              {counted(recording.batches, 'batch').replace('batchs', 'batches')} · {bytesText(recording.bytes)}
              {file === null ? ` of at most ${bytesText(RECORDING_BYTES_MAX)}; the oldest goes first` : ''}
            </p>
            <Density recording={recording} from={from} to={to} />
            <Phases recording={recording} from={from} to={to} />
            <TimeSlider label="Moment of the recording" />
            <Transport from={from} to={to} />
          </>
        )}
      </section>
      <Files recording={recording} />
    </>
  );
}

function Transport({ from, to }: { readonly from: number; readonly to: number }): JSX.Element {
  const at = moment.value;
  return (
    <div class="transport">
      <button type="button" class="primary" onClick={() => (isPlaying.value ? pause() : play())}>
        <Icon name={isPlaying.value ? 'pause' : 'play'} /> {isPlaying.value ? 'Pause' : 'Play'}
      </button>
      <fieldset class="group" aria-label="Step">
        <button type="button" onClick={() => seek((at ?? to) - 1000)}>
          −1 s
        </button>
        <button type="button" onClick={() => seek((at ?? to) - 50)}>
          −50 ms
        </button>
        <button type="button" onClick={() => seek((at ?? to) + 50)}>
          +50 ms
        </button>
        <button type="button" onClick={() => seek((at ?? to) + 1000)}>
          +1 s
        </button>
      </fieldset>
      <label class="field inline">
        <span>Speed</span>
        <select
          value={String(speed.value)}
          onChange={({ currentTarget }) => {
            speed.value = Number(currentTarget.value);
          }}
        >
          {speeds.map((times) => (
            <option key={times} value={String(times)}>
              {times}×
            </option>
          ))}
        </select>
      </label>
      <output>{at === null ? 'live' : `${exactClockText(at)} · ${durationText(at - from)} in`}</output>
      {at !== null && link.value !== 'file' && (
        <button type="button" onClick={goLive}>
          Back to live
        </button>
      )}
    </div>
  );
}

/** How much happened when, and the phases of the source below it. */
function Density({
  recording,
  from,
  to,
}: {
  readonly recording: Recording;
  readonly from: number;
  readonly to: number;
}): JSX.Element {
  const counts = recording.density(BARS);
  // Roots: the tree that comes first is a thousand times what a quiet second has, and both are to be seen.
  const top = Math.sqrt(Math.max(...counts, 1));
  const width = WIDTH / BARS;
  const x = (at: number) => ((Math.min(Math.max(at, from), to) - from) / Math.max(to - from, 1)) * WIDTH;
  const at = moment.value;
  return (
    <svg
      class="density"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      preserveAspectRatio="none"
      role="img"
      aria-label="Frames over the time recorded"
    >
      {counts.map((count, index) => {
        const height = (Math.sqrt(count) / top) * (HEIGHT - 6);
        return (
          <rect key={index} class="bar" x={index * width + 0.5} y={HEIGHT - height} width={width - 1} height={height} />
        );
      })}
      {at !== null && <line class="moment" x1={x(at)} x2={x(at)} y1={0} y2={HEIGHT} />}
    </svg>
  );
}

/** The phases of the source, each as wide as it was long; its name is there for all who can't tell colours apart. */
function Phases({
  recording,
  from,
  to,
}: {
  readonly recording: Recording;
  readonly from: number;
  readonly to: number;
}): JSX.Element {
  const marks = recording.phases.map(({ at, phase }, index) => {
    const end = recording.phases[index + 1]?.at ?? to;
    return { at, phase, ms: end - Math.max(at, from) };
  });
  return (
    <ol class="bands" aria-label="Phases of the broker">
      {marks
        .filter(({ ms }) => ms >= 0)
        .map(({ at, phase, ms }) => (
          <li
            key={`${at} ${phase}`}
            class={`band band-${/^\w+$/.test(phase) ? phase : 'other'}`}
            style={{ 'flex-grow': String(ms) }}
            title={plainText(phase, 30)}
          >
            <span>{plainText(phase, 30)}</span>
          </li>
        ))}
    </ol>
  );
}

function Files({ recording }: { readonly recording: Recording }): JSX.Element {
  const picker = useRef<HTMLInputElement>(null);
  return (
    <section class="card">
      <h2>Files</h2>
      <p>
        An exported recording opens on this page with no broker: drop it here, or run <code>sluice replay FILE</code>.
        It holds names and the summaries of events; secrets and payloads are not in it.
      </p>
      <div class="actions">
        <button type="button" class="primary" disabled={recording.empty} onClick={() => save(recording)}>
          <Icon name="save" /> Export
        </button>
        <button type="button" disabled={isOpening.value} onClick={() => picker.current?.click()}>
          <Icon name="open" /> {isOpening.value ? 'Opening…' : 'Import…'}
        </button>
        {link.value !== 'file' && opened.value === null && (
          <button
            type="button"
            aria-pressed={isRecording.value}
            onClick={() => {
              isRecording.value = !isRecording.value;
            }}
          >
            <Icon name="record" /> {isRecording.value ? 'Recording: on' : 'Recording: off'}
          </button>
        )}
        {opened.value !== null && link.value !== 'file' && (
          <button type="button" onClick={goLive}>
            Close the file
          </button>
        )}
        <input
          ref={picker}
          type="file"
          class="unseen"
          tabIndex={-1}
          aria-label="A recording"
          accept=".jsonl,.json,application/jsonl"
          onChange={({ currentTarget }) => {
            const file = currentTarget.files?.[0];
            if (file !== undefined)
              openRecording(file.name, file.stream()).catch((error: unknown) => say(String(error), true));
            currentTarget.value = '';
          }}
        />
      </div>
      <p class="hint">{countText(recording.machines.size)} charts are in it.</p>
    </section>
  );
}

function save(recording: Recording): void {
  const url = URL.createObjectURL(recordingBlob(recording));
  const link = document.createElement('a');
  link.href = url;
  link.download = fileName();
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
  say(`Exported ${link.download}.`);
}
