/** The console's page. */
import { render } from 'preact';
import { useEffect } from 'preact/hooks';
import { Access } from './access.js';
import { Account } from './account.js';
import { OpenQuestion } from './act.js';
import { Container } from './container.js';
import { Containers } from './containers.js';
import { clock, followTime, now, span } from './format.js';
import { Events } from './events.js';
import { Fleet } from './hosts.js';
import { Images } from './images.js';
import { currency, followVisibility, forget, startStream } from './live.js';
import { Overview } from './overview.js';
import { Empty } from './parts.js';
import { Rollout, Rollouts } from './rollouts.js';
import { followRoute, go, route } from './route.js';
import { checkSession, session, signOut } from './session.js';
import { PROVIDER_RETURN, SignIn } from './sign-in.js';

const AGAIN_MS = 1_000;
/** Of all tenants together: nothing for developers. */
const OF_STAFF: readonly string[] = ['/rollouts', '/images', '/fleet'];
const VIEWS = [
  ['/', 'Overview'],
  ['/containers', 'Containers'],
  ['/rollouts', 'Rollouts'],
  ['/images', 'Images'],
  ['/fleet', 'Fleet'],
  ['/events', 'Events'],
  ['/access', 'Access'],
] as const;

function App() {
  if (session.value === undefined) return <p class="loading">Loading…</p>;
  if (session.value === null) return <SignIn />;
  return (
    <>
      <Header />
      <main>
        <View />
      </main>
      <OpenQuestion />
    </>
  );
}

function View() {
  const { path } = route.value;
  useEffect(() => {
    document.title = `Plinth – ${path === '/' ? 'overview' : path.slice(1)}`;
  }, [path]);
  const [, id] = /^\/containers\/([0-9a-f]{32})$/.exec(path) ?? [];
  if (id !== undefined) return <Container key={id} id={id} />;
  if (path === '/containers') return <Containers />;
  if (path === '/events') return <Events />;
  if (path === '/access') return <Access />;
  if (path === '/account') return <Account />;
  if (session.value?.role !== 'developer') {
    const [, rollout] = /^\/rollouts\/([0-9a-f]{32})$/.exec(path) ?? [];
    if (rollout !== undefined) return <Rollout key={rollout} id={rollout} />;
    if (path === '/rollouts') return <Rollouts />;
    if (path === '/images') return <Images />;
    if (path === '/fleet') return <Fleet />;
  }
  if (path === '/' || path === '/sign-in') return <Overview />;
  return <Empty>There is no such page.</Empty>;
}

function Header() {
  const { path } = route.value;
  const person = session.value;
  return (
    <header>
      <nav aria-label="views">
        {VIEWS.filter(([href]) => !OF_STAFF.includes(href) || person?.role !== 'developer').map(([href, label]) => (
          <a
            key={href}
            href={href}
            aria-current={(href === '/' ? path === href : path.startsWith(href)) ? 'page' : undefined}
          >
            {label}
          </a>
        ))}
      </nav>
      <Now />
      <span class="person">
        <a href="/account">{person?.name}</a> <span class="role">({person?.role})</span>
        <button type="button" onClick={() => void signOut()}>
          sign out
        </button>
      </span>
    </header>
  );
}

/** Screen readers learn when the connection is lost and when it is back, not each second. */
function Now() {
  const { live, at, problem } = currency.value;
  return (
    <span class={live ? 'now live' : 'now cut'}>
      <span role="status" class="unseen">
        {live ? 'live' : 'cut off'}
      </span>
      {live ? (
        <span aria-hidden="true">● live</span>
      ) : (
        <span title={problem ?? ''}>
          ✕ cut off since {span(now.value - Date.parse(at))}, data of {clock(at)}
        </span>
      )}
    </span>
  );
}

async function begin(): Promise<void> {
  // Another person may be signed in by an older session: the new sign-in counts.
  if (location.pathname === PROVIDER_RETURN) {
    session.value = null;
    return;
  }
  if ((await checkSession()) === 'unknown') window.setTimeout(() => void begin(), AGAIN_MS);
}

function followKeys(): void {
  let wasG = false;
  document.addEventListener('keydown', (event) => {
    if (
      event.target instanceof HTMLInputElement ||
      event.target instanceof HTMLSelectElement ||
      event.ctrlKey ||
      event.metaKey ||
      event.altKey
    )
      return;
    const target = wasG
      ? { o: '/', c: '/containers', r: '/rollouts', i: '/images', f: '/fleet', e: '/events', a: '/access' }[event.key]
      : undefined;
    if (target !== undefined && session.value) go(target);
    wasG = event.key === 'g';
  });
}

followRoute();
followTime();
followVisibility();
followKeys();
session.subscribe((who) => {
  if (who) startStream();
  else if (who === null) forget();
});
const place = document.getElementById('console');
if (place) render(<App />, place);
void begin();
