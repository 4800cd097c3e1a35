/** Drain, cancel, stop: what an operator may ask for, each behind a question that says what it does. */
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { call, type StopMode } from './broker-calls.ts';
import { ConfirmDialog } from './confirm-dialog.tsx';
import type { Shutdown } from './facts.ts';
import { say } from './store.ts';

type Asked = 'drain' | 'cancel' | 'stop';

export function ShutdownButtons({ shutdown }: { readonly shutdown: Shutdown | null }): JSX.Element {
  const [asked, setAsked] = useState<Asked | null>(null);
  const [mode, setMode] = useState<StopMode>('graceful');
  const [isReturning, setReturning] = useState(true);
  const phase = shutdown?.phase ?? 'running';
  const isStopping = shutdown?.stopping === true;
  const close = (): void => setAsked(null);
  const run = (path: 'stop' | 'drain' | 'drain/cancel', body: object, done: string): void => {
    call(path, body)
      .then((refused) => (refused === null ? say(done) : say(`Not done: ${refused}`, true)))
      .catch((error: unknown) => say(String(error), true));
  };
  return (
    <div class="actions">
      {!isStopping && phase !== 'draining' && (
        <button type="button" onClick={() => setAsked('drain')}>
          Drain…
        </button>
      )}
      {!isStopping && phase === 'draining' && (
        <button type="button" onClick={() => setAsked('cancel')}>
          Cancel the drain…
        </button>
      )}
      <button
        type="button"
        class="danger"
        onClick={() => {
          setMode(isStopping ? 'fast' : 'graceful');
          setAsked('stop');
        }}
      >
        {isStopping ? 'Press harder…' : 'Stop…'}
      </button>
      {asked === 'drain' && (
        <ConfirmDialog
          title="Drain this broker?"
          action="Drain"
          onClose={close}
          onConfirm={() => run('drain', { reason: 'asked for in the console' }, 'The broker drains.')}
        >
          <p>It finishes what it has, refuses what is new, tells its clients, and stays. A drain can be cancelled.</p>
        </ConfirmDialog>
      )}
      {asked === 'cancel' && (
        <ConfirmDialog
          title="Serve again?"
          action="Cancel the drain"
          onClose={close}
          onConfirm={() => run('drain/cancel', {}, 'The broker serves again.')}
        >
          <p>Clients are told, and served on over the connections that they have.</p>
        </ConfirmDialog>
      )}
      {asked === 'stop' && (
        <ConfirmDialog
          title={isStopping ? 'Press the shutdown harder?' : 'Stop this broker?'}
          action="Stop"
          dangerous
          onClose={close}
          onConfirm={() =>
            run('stop', { mode, reason: 'asked for in the console', returning: isReturning }, 'The broker stops.')
          }
        >
          <p>It can't be taken back. What was acknowledged is kept, whatever the mode.</p>
          <label class="field">
            <span>Mode</span>
            <select value={mode} onChange={({ currentTarget }) => setMode(currentTarget.value as StopMode)}>
              {!isStopping && <option value="graceful">graceful: drain, wait for commits, flush</option>}
              <option value="fast">fast: flush, wait for nobody</option>
              <option value="immediate">immediate: give the shards up within two seconds</option>
            </select>
          </label>
          {!isStopping && (
            <label class="check">
              <input
                type="checkbox"
                checked={isReturning}
                onChange={({ currentTarget }) => setReturning(currentTarget.checked)}
              />
              A broker comes back in its place
            </label>
          )}
        </ConfirmDialog>
      )}
    </div>
  );
}
