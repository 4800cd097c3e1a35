/** The frame around the views: navigation, who is looked at, what is wrong with the connection, and the time bar. */
import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import { durationText } from './format.ts';
import { Icon, type IconName } from './icons.tsx';
import { plainText } from './plain-text.ts';
import { openRecording } from './player.ts';
import { problemsOf } from './problems.ts';
import { type Route, route, routes } from './route.ts';
import { type Link, link, live, notice, pulse, replayed, say, world } from './store.ts';
import { nextTheme, theme } from './theme.ts';
import { TimeBar } from './time-bar.tsx';
import { TokenForm } from './token-form.tsx';
import { ChartsView } from './views/charts.tsx';
import { OverviewView } from './views/overview.tsx';
import { ShutdownView } from './views/shutdown.tsx';
import { TimeView } from './views/time.tsx';
import { TopicsView } from './views/topics.tsx';

const titles: Readonly<Record<Route, string>> = {
  overview: 'Overview',
  charts: 'Charts',
  shutdown: 'Shutdown',
  topics: 'Topics',
  time: 'Time',
};

const views: Readonly<Record<Route, () => JSX.Element>> = {
  overview: OverviewView,
  charts: ChartsView,
  shutdown: ShutdownView,
  topics: TopicsView,
  time: TimeView,
};

export function App(): JSX.Element {
  const shown = route.value;
  const View = views[shown];
  useEffect(() => {
    document.title = `${titles[shown]} · Sluice`;
    document.getElementById('main')?.scrollTo(0, 0);
  }, [shown]);
  useEffect(acceptFiles, []);
  return (
    <div class="app">
      <button type="button" class="skip" onClick={() => document.getElementById('main')?.focus()}>
        Skip to the view
      </button>
      <header class="top">
        <Brand />
        <SourceLine />
        <LinkBadge />
        <ThemeButton />
      </header>
      <Navigation />
      <main id="main" tabIndex={-1} class={`view view-${shown}`}>
        <h1 class={shown === 'overview' || shown === 'shutdown' ? 'unseen' : ''}>{titles[shown]}</h1>
        {link.value === 'locked' ? <TokenForm /> : <View />}
      </main>
      <TimeBar />
      <Notice />
      <Alarm />
    </div>
  );
}

function Brand(): JSX.Element {
  return (
    <a class="brand" href="#/overview" aria-label="Sluice console: overview">
      <svg viewBox="0 0 32 32" class="mark" aria-hidden="true">
        <path class="gate" d="M7 6v20M25 6v20" />
        <path class="leaf" d="M11 9h10v8H11z" />
        <path class="water" d="M10 22c2-2 4-2 6 0s4 2 6 0" />
      </svg>
      <span>Sluice</span>
    </a>
  );
}

function SourceLine(): JSX.Element {
  pulse.value;
  const { source, at } = world.value;
  if (source === null) return <p class="source" />;
  const { name, version, pid, host, startedAt } = source;
  const up = Math.max(at - startedAt, 0);
  return (
    <p class="source">
      <strong>{plainText(name, 40)}</strong>
      <span class="wide">
        {plainText(version, 20)} · {plainText(host, 40)} · pid {pid} · up {durationText(up)}
      </span>
    </p>
  );
}

const linkTexts: Readonly<Record<Link, readonly [string, string]>> = {
  connecting: ['◐', 'Connecting'],
  live: ['●', 'Live'],
  lost: ['✕', 'Gone'],
  locked: ['▲', 'Token needed'],
  file: ['■', 'Recording'],
};

function LinkBadge(): JSX.Element {
  const state = replayed.value !== null && link.value !== 'file' ? 'replay' : link.value;
  const [shape, text] = state === 'replay' ? ['■', 'Replay'] : linkTexts[state];
  return (
    <span class={`link-badge link-${state}`} data-link={state}>
      <span aria-hidden="true">{shape}</span> {text}
    </span>
  );
}

function ThemeButton(): JSX.Element {
  const icons = { system: 'system', light: 'sun', dark: 'moon' } as const;
  const name = theme.value;
  return (
    <button
      type="button"
      class="quiet square"
      onClick={nextTheme}
      aria-label={`Colours: ${name}. Change`}
      title={`Colours: ${name}`}
    >
      <Icon name={icons[name]} />
    </button>
  );
}

function Navigation(): JSX.Element {
  pulse.value;
  const problems = problemsOf(world.value);
  return (
    <nav class="side" aria-label="Views">
      {routes.map((name) => {
        const bad = problems.filter((problem) => problem.route === name && problem.severity === 'bad').length;
        return (
          <a key={name} href={`#/${name}`} aria-current={route.value === name ? 'page' : undefined}>
            <Icon name={name satisfies IconName} />
            <span>{titles[name]}</span>
            {bad > 0 && (
              <span class="count" role="img" aria-label={`${bad} wrong`}>
                {bad}
              </span>
            )}
          </a>
        );
      })}
    </nav>
  );
}

/** The last thing that the page had to say; goes away by itself unless it is bad. */
function Notice(): JSX.Element {
  const said = notice.value;
  useEffect(() => {
    if (said === null) return;
    const timer = setTimeout(
      () => {
        if (notice.value === said) notice.value = null;
      },
      said.bad ? 15_000 : 4_000,
    );
    return () => clearTimeout(timer);
  }, [said]);
  return (
    <div class="notices" role="status" aria-live="polite">
      {said !== null && (
        <div class={said.bad ? 'notice bad' : 'notice'}>
          <Icon name={said.bad ? 'warning' : 'ok'} />
          <span>{plainText(said.text, 400)}</span>
          <button
            type="button"
            class="quiet"
            onClick={() => {
              notice.value = null;
            }}
          >
            Dismiss
          </button>
        </div>
      )}
    </div>
  );
}

/** What goes wrong, read out once as it does: unseen, since every view shows it. */
function Alarm(): JSX.Element {
  pulse.value;
  const titlesNow = problemsOf(live.value)
    .filter(({ severity }) => severity === 'bad')
    .map(({ title }) => title);
  return (
    <div class="unseen" role="alert" aria-atomic="false">
      {titlesNow.map((title) => (
        <p key={title}>{title}</p>
      ))}
    </div>
  );
}

/** A recording can be dropped anywhere. */
function acceptFiles(): () => void {
  const over = (event: DragEvent): void => event.preventDefault();
  const drop = (event: DragEvent): void => {
    event.preventDefault();
    const file = event.dataTransfer?.files[0];
    if (file === undefined) return;
    openRecording(file.name, file.stream()).catch((error: unknown) => say(String(error), true));
  };
  addEventListener('dragover', over);
  addEventListener('drop', drop);
  return () => {
    removeEventListener('dragover', over);
    removeEventListener('drop', drop);
  };
}
