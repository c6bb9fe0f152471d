/** Is it well, and what waits for a person? */
import { CONTAINER_STATES_SHOWN, reasonsOf, statesOf } from './numbers.js';
import { useEffect } from 'preact/hooks';
import type { OverviewAnswer } from '@plinth/contracts/console';
import { useAsked } from './asked.js';
import { count } from './format.js';
import { HostStrip } from './hosts.js';
import { containersInOrder, isLoaded, values, version } from './live.js';
import { Ago, Empty, State } from './parts.js';
import { listOf } from './route.js';
import { session } from './session.js';

const LOOK_MS = 10_000;

export function Overview() {
  const containers = containersInOrder();
  const counts = statesOf(containers);
  const unhealthy = containers.filter(({ health }) => health === 'unhealthy').length;
  const isStaff = session.value?.role !== 'developer';
  if (!isLoaded.value) return <p class="loading">Loading…</p>;
  return (
    <>
      <h1>Overview</h1>
      {isStaff && <Waiting />}
      <section aria-labelledby="states">
        <h2 id="states">{count(containers.length)} containers</h2>
        {containers.length === 0 ? (
          <Empty command="plinth run --name shop-1">No container runs here yet.</Empty>
        ) : (
          <ul class="tiles">
            {CONTAINER_STATES_SHOWN.filter((state) => counts[state] > 0 || state === 'running').map((state) => (
              <li key={state}>
                <a class="tile" href={listOf(`state:${state}`)}>
                  <b>{count(counts[state])}</b> <State state={state} />
                </a>
              </li>
            ))}
            {unhealthy > 0 && (
              <li>
                <a class="tile" href={listOf('health:unhealthy')}>
                  <b>{count(unhealthy)}</b> <span class="mark bad">✕ unhealthy</span>
                </a>
              </li>
            )}
          </ul>
        )}
        <Reasons />
      </section>
      {isStaff && <HostStrip />}
      {isStaff && <Rollouts />}
    </>
  );
}

function Reasons() {
  const reasons = reasonsOf(containersInOrder());
  if (reasons.length === 0) return null;
  return (
    <>
      <h3>Why</h3>
      <ul class="reasons">
        {reasons.map(({ message, containers }) => (
          <li key={message}>
            <a href={listOf(`message:"${message.replaceAll('"', ' ').slice(0, 60)}"`)}>{count(containers)}</a> {message}
          </li>
        ))}
      </ul>
    </>
  );
}

/** Dead letters are no last values: asked from time to time. */
function Waiting() {
  const { data, problem, again } = useAsked<OverviewAnswer>('/overview');
  useEffect(() => {
    const timer = window.setInterval(again, LOOK_MS);
    return () => window.clearInterval(timer);
  }, []);
  const letters = problem === undefined ? data?.deadLetters : undefined;
  const rollouts = values('rollouts').filter(({ wait }) => wait?.reason === 'approval-needed');
  if (rollouts.length === 0 && !letters) return null;
  return (
    <section class="waiting" aria-labelledby="waiting">
      <h2 id="waiting">Waits for you</h2>
      <ul>
        {rollouts.map(({ id, to, batch, batches }) => (
          <li key={id}>
            <a href={`/rollouts/${id}`}>Rollout to {to}</a>: batch {batch + 1} of {batches} is done, approve the next.{' '}
            <code>plinth rollout approve {id.slice(0, 8)}</code>
          </li>
        ))}
        {letters ? (
          <li>
            <a href="/events">
              {count(letters)} dead {letters === 1 ? 'letter' : 'letters'}
            </a>
            : messages that no service could take. <code>plinth deadletters ls</code>
          </li>
        ) : null}
      </ul>
    </section>
  );
}

function Rollouts() {
  void version.value;
  const rollouts = values('rollouts')
    .filter(({ endedAt }) => endedAt === null)
    .sort((a, b) => (a.requestedAt < b.requestedAt ? 1 : -1))
    .slice(0, 20);
  if (rollouts.length === 0) return null;
  return (
    <section aria-labelledby="rollouts">
      <h2 id="rollouts">Rollouts in progress</h2>
      <ul class="reasons">
        {rollouts.map(({ id, to, state, batch, batches, wait, changedAt }) => (
          <li key={id}>
            <a href={`/rollouts/${id}`}>{id.slice(0, 8)}</a> to {to}: {state}, batch {batch + 1} of {batches}
            {wait ? `, waits: ${wait.message}` : ''} · <Ago at={changedAt} />
          </li>
        ))}
      </ul>
    </section>
  );
}
