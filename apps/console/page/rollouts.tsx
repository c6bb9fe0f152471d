/** Rollouts: how far, how healthy, what they wait for; and the person's word. */
import type { RolloutMember, RolloutStatus } from '@plinth/contracts';
import type { EventList, RolloutAnswer } from '@plinth/contracts/console';
import { type Action, Actions, actionsOn } from './act.js';
import { useAsked } from './asked.js';
import { clock, count, counted, word } from './format.js';
import { isLoaded, values } from './live.js';
import { Ago, Bar, Command, Empty, Facts, Mark, type Tone } from './parts.js';
import { Table } from './table.js';

const STATES: Readonly<Record<RolloutStatus['state'], readonly [string, Tone]>> = {
  staging: ['◌', 'busy'],
  rolling: ['◐', 'busy'],
  paused: ['‖', 'busy'],
  reverting: ['↶', 'bad'],
  completed: ['✓', 'good'],
  aborted: ['✕', 'idle'],
  reverted: ['↶', 'idle'],
};
const PHASES: Readonly<Record<RolloutMember['phase'], readonly [string, Tone]>> = {
  pending: ['·', 'idle'],
  switching: ['◐', 'busy'],
  updated: ['✓', 'good'],
  failed: ['✕', 'bad'],
  skipped: ['–', 'idle'],
  restoring: ['↶', 'busy'],
  restored: ['↶', 'idle'],
};

const State = ({ state }: Pick<RolloutStatus, 'state'>) => (
  <Mark glyph={STATES[state][0]} tone={STATES[state][1]} text={state} />
);

const selected = ({ select }: RolloutStatus): string =>
  Object.entries(select)
    .map(([name, value]) => `${name} ${Array.isArray(value) ? value.join(', ').slice(0, 60) : String(value)}`)
    .join(', ');

/** The canary is a batch of its own. */
function batchOf({ batch, batches }: RolloutStatus): string {
  if (batch < 0) return 'none so far';
  const further = Math.max(0, batches - 1);
  return batch === 0 ? `canary, ${further} to follow` : `${batch} of ${further}`;
}

const doneOf = ({ counts }: RolloutStatus): number => counts.updated + counts.failed + counts.skipped + counts.restored;

export function Rollouts() {
  const rollouts = values('rollouts').sort((a, b) => (a.requestedAt < b.requestedAt ? 1 : -1));
  if (!isLoaded.value) return <p class="loading">Loading…</p>;
  return (
    <>
      <h1>Rollouts</h1>
      <Actions actions={[startRollout()]} label="new rollouts" />
      {rollouts.length === 0 ? (
        <Empty command="plinth rollout start --select image=debian-12 --to debian-12@v2 --canary 1 --approval canary">
          No rollout was started so far. One moves many containers to another image, in batches, and stops by itself
          when they fail.
        </Empty>
      ) : (
        <Table
          label="rollouts"
          head={['rollout', 'to', 'state', 'done', { number: 'failed' }, 'waits for', 'requested']}
        >
          {rollouts.map((rollout) => (
            <tr key={rollout.id}>
              <th scope="row">
                <a href={`/rollouts/${rollout.id}`}>{rollout.id.slice(0, 8)}</a>
              </th>
              <td>{rollout.to}</td>
              <td>
                <State state={rollout.state} />
              </td>
              <td>
                <Bar
                  share={rollout.counts.total === 0 ? 0 : doneOf(rollout) / rollout.counts.total}
                  label={`${doneOf(rollout)} of ${rollout.counts.total}`}
                />
                {count(doneOf(rollout))} of {count(rollout.counts.total)}
              </td>
              <td class="number">{count(rollout.counts.failed)}</td>
              <td class="text">{rollout.wait?.message ?? ''}</td>
              <td>
                <Ago at={rollout.requestedAt} />
              </td>
            </tr>
          ))}
        </Table>
      )}
    </>
  );
}

export function startRollout(image = '', to = ''): Action {
  return {
    label: 'Start a rollout',
    act: 'rollout.start',
    path: '/rollouts',
    what: 'All containers that are on the image are moved to the other, batch by batch. The first batch is the canary; what fails goes back by itself.',
    fields: [
      {
        name: 'image',
        label: 'Containers on image',
        placeholder: 'debian-12 or debian-12@v1',
        value: image,
        required: true,
      },
      { name: 'to', label: 'To', placeholder: 'debian-12@v2', value: to, required: true },
      { name: 'canary', label: 'Containers in the canary', type: 'number', value: '1' },
      { name: 'batch', label: 'In each further batch', value: '10%' },
      { name: 'soak', label: 'Seconds to watch each', type: 'number', placeholder: '60' },
    ],
    body: ({ image: from, to: target, canary, batch, soak }) => ({
      select: { image: from },
      to: target,
      approval: 'canary',
      ...(canary ? { canary: Number(canary) } : {}),
      ...(batch ? { batch } : {}),
      ...(soak ? { soakSeconds: Number(soak) } : {}),
    }),
    command: ({ image: from, to: target, canary, batch, soak }) =>
      `plinth rollout start --select image=${word(from || '…')} --to ${word(target || '…')} --approval canary` +
      `${canary ? ` --canary ${canary}` : ''}${batch ? ` --batch ${batch}` : ''}${soak ? ` --soak ${soak}` : ''}`,
  };
}

export function Rollout({ id }: { readonly id: string }) {
  const live = values('rollouts').find((rollout) => rollout.id === id);
  const stamp = live && `${live.changedAt} ${live.state} ${JSON.stringify(live.counts)}`;
  const { data, problem } = useAsked<RolloutAnswer>(`/rollouts/${id}`, stamp);
  const events = useAsked<EventList>(`/events?subject=rollout.>&q=${id}&limit=500`, stamp);
  const status = live ?? data?.status;
  if (!status) {
    if (problem !== undefined) return <Empty command="plinth rollout ls --all">{problem}</Empty>;
    return <p class="loading">Loading…</p>;
  }
  const members = data?.details?.members ?? [];
  return (
    <>
      <h1>
        Rollout to {status.to} <State state={status.state} />
      </h1>
      {status.wait && <p class="message">Waits: {status.wait.message}</p>}
      <Facts
        facts={[
          ['selects', selected(status)],
          ['batch', batchOf(status)],
          ['updated', count(status.counts.updated)],
          ['failed', count(status.counts.failed)],
          ['on the way', count(status.counts.switching + status.counts.restoring)],
          ['to come', count(status.counts.pending)],
          ['went back', count(status.counts.restored)],
          ['skipped', count(status.counts.skipped)],
          ['requested', <Ago key="requested" at={status.requestedAt} />],
        ]}
        id={id}
      />
      {actionsOf(status).length > 0 && (
        <section aria-labelledby="acts">
          <h2 id="acts">Do</h2>
          <Actions actions={actionsOf(status)} label="what can be done with this rollout" />
        </section>
      )}
      <Batches members={members} />
      <BurnDown status={status} events={events.data} />
      <Failures members={members} />
      <section aria-labelledby="commands">
        <h2 id="commands">Commands</h2>
        <Command text={`plinth rollout show ${id.slice(0, 8)}`} />
      </section>
    </>
  );
}

function actionsOf({ id, state, wait, counts, to }: RolloutStatus): readonly Action[] {
  const make = actionsOn('rollout', id, id.slice(0, 8));
  const action = (label: string, verb: string, what: string, more: Partial<Action> = {}): Action =>
    make(label, verb, what, { why: 'needed', ...more });
  const active = ['staging', 'rolling'].includes(state);
  const touched = counts.updated + counts.switching;
  return [
    ...(state === 'paused' && wait?.reason === 'approval-needed'
      ? [action('Approve', 'approve', `The next batch begins; ${counted(counts.pending, 'container')} still to come.`)]
      : state === 'paused'
        ? [action('Resume', 'resume', `It goes on; ${counted(counts.pending, 'container')} still to come.`)]
        : []),
    ...(active
      ? [action('Halt', 'pause', 'It begins nothing new; what is on the way ends by itself. It can be resumed.')]
      : []),
    ...(active || state === 'paused'
      ? [
          action(
            'Abort',
            'abort',
            `It ends where it is: ${counted(counts.updated, 'container')} on ${to} from then on.`,
          ),
        ]
      : []),
    ...(!['reverting', 'reverted'].includes(state)
      ? [
          action('Revert', 'revert', `${counted(touched, 'container')} go back to what they were on; each restarts.`, {
            typed: id.slice(0, 8),
          }),
        ]
      : []),
  ];
}

const MOST_MARKS = 2_000;

/** Each mark is a container and a link to it. */
function Batches({ members }: { readonly members: readonly RolloutMember[] }) {
  if (members.length === 0) return null;
  const batches = [...new Set(members.map(({ batch }) => batch))].sort((a, b) => (a ?? 1e9) - (b ?? 1e9));
  return (
    <section aria-labelledby="batches">
      <h2 id="batches">Batches</h2>
      {batches.map((batch) => (
        <div class="strip" key={batch}>
          <span class="centre">{batch === null ? 'to come' : batch === 0 ? 'canary' : `batch ${batch}`}</span>
          {members
            .filter((member) => member.batch === batch)
            .slice(0, MOST_MARKS)
            .map(({ containerId, name, tenant, phase, message }) => (
              <a
                key={containerId}
                class={`member ${PHASES[phase][1]}`}
                href={`/containers/${containerId}`}
                aria-label={`${name} of ${tenant}: ${phase}`}
                title={`${name} (${tenant}): ${phase}${message ? `, ${message}` : ''}`}
              >
                {PHASES[phase][0]}
              </a>
            ))}
        </div>
      ))}
      <p class="legend">✓ updated, ◐ switching, ✕ failed, ↶ went back, · to come, – skipped.</p>
    </section>
  );
}

interface Point {
  readonly at: string;
  readonly left: number;
  readonly failed: number;
  readonly what: string;
}

function BurnDown({ status, events }: { readonly status: RolloutStatus; readonly events: EventList | undefined }) {
  const points: Point[] = [...(events?.items ?? [])].reverse().flatMap(({ time, subject, data }) => {
    const counts = data['counts'] as RolloutStatus['counts'] | undefined;
    return counts
      ? [
          {
            at: time,
            left: counts.pending + counts.switching + counts.restoring,
            failed: counts.failed,
            what: subject.slice(8),
          },
        ]
      : [];
  });
  if (points.length < 2) return null;
  points.push({
    at: status.endedAt ?? status.changedAt,
    left: status.counts.pending + status.counts.switching + status.counts.restoring,
    failed: status.counts.failed,
    what: 'now',
  });
  // Events are stored after what they report: the present state is never before them.
  const known = points.map(({ at }) => Date.parse(at));
  const times = known.map((time, index) => Math.max(time, ...known.slice(0, index)));
  const from = Math.min(...times);
  const width = Math.max(1, Math.max(...times) - from);
  const x = (index: number): number => 4 + (392 * ((times[index] ?? from) - from)) / width;
  const y = (value: number): number => 96 - (92 * value) / Math.max(1, status.counts.total);
  const steps = points
    .map(
      ({ left }, index) =>
        `${index === 0 ? 'M' : `H${x(index).toFixed(1)} V`}${index === 0 ? `${x(0)} ` : ''}${y(left).toFixed(1)}`,
    )
    .join(' ');
  return (
    <section aria-labelledby="burn">
      <h2 id="burn">Left over time</h2>
      <svg
        class="burn"
        viewBox="0 0 400 100"
        role="img"
        aria-label={`${status.counts.total} containers, ${points.at(-1)?.left} left`}
      >
        <rect class="room" x="1" y="1" width="398" height="98" />
        <path class="line" d={steps} />
        {points.map(({ failed }, index) =>
          failed > (points[index - 1]?.failed ?? 0) ? (
            <text key={index} class="cross small" x={x(index)} y="14" text-anchor="middle">
              ✕
            </text>
          ) : null,
        )}
      </svg>
      <details>
        <summary>As a table</summary>
        <Table label="left over time, as a table" head={['at', 'what', { number: 'left' }, { number: 'failed' }]}>
          {points.map(({ at, left, failed, what }, index) => (
            <tr key={index}>
              <td>{clock(at)}</td>
              <td>{what}</td>
              <td class="number">{count(left)}</td>
              <td class="number">{count(failed)}</td>
            </tr>
          ))}
        </Table>
      </details>
    </section>
  );
}

function Failures({ members }: { readonly members: readonly RolloutMember[] }) {
  const failed = members.filter(({ phase, message }) => phase === 'failed' || message);
  if (failed.length === 0) return null;
  return (
    <section aria-labelledby="failures">
      <h2 id="failures">Failed or skipped</h2>
      <ul class="reasons">
        {failed.slice(0, 50).map(({ containerId, name, tenant, phase, reason, message }) => (
          <li key={containerId}>
            <a href={`/containers/${containerId}`}>{name}</a> ({tenant}) {phase}: {reason ?? ''} {message ?? ''}
          </li>
        ))}
      </ul>
    </section>
  );
}
