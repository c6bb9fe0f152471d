/** Requests and facts as they come, and what one request led to. */
import type { DeadLetterList, EventEntry, RequestAnswer } from '@plinth/contracts/console';
import { useEffect, useState } from 'preact/hooks';
import { Outcome } from './act.js';
import { useAsked, useChangeable } from './asked.js';
import { Filter, filterQuery } from './form.js';
import { clock, exact } from './format.js';
import { Empty, Mark, Problem, type Tone } from './parts.js';
import { route } from './route.js';
import { session } from './session.js';
import { Table } from './table.js';

const MOST_SHOWN = 300;
const FIELDS = [
  { name: 'subject', label: 'Subject', placeholder: 'container.*' },
  { name: 'tenant', label: 'Tenant', placeholder: 'acme' },
  { name: 'q', label: 'Text', placeholder: 'shop-1, a host, an image, a reason' },
];

export function Events() {
  const request = route.value.query.get('request');
  return request === null ? <Stream /> : <Causality key={request} id={request} />;
}

function Stream() {
  const address = `/api/v1/events?${filterQuery(FIELDS, 100)}`;
  const [items, setItems] = useState<readonly EventEntry[] | undefined>();
  const [isPaused, setPaused] = useState(false);
  const [problem, setProblem] = useState('');
  useEffect(() => {
    if (isPaused) return undefined;
    // What is typed is asked for when the typing rests.
    let source: EventSource | undefined;
    const timer = window.setTimeout(() => {
      let isFirst = true;
      source = new EventSource(address);
      source.addEventListener('events', (event) => {
        const { items: more } = JSON.parse(String(event.data)) as { items: EventEntry[] };
        const newest = [...more].reverse();
        const begins = isFirst;
        isFirst = false;
        setProblem('');
        setItems((before = []) => (begins ? newest : [...newest, ...before]).slice(0, MOST_SHOWN));
      });
      source.onerror = () => {
        isFirst = true;
        setProblem('Nothing comes at the moment; the page tries again. A filter may be no subject.');
      };
    }, 300);
    return () => {
      window.clearTimeout(timer);
      source?.close();
    };
  }, [address, isPaused]);
  return (
    <>
      <h1>Events</h1>
      <Filter fields={FIELDS}>
        <button type="button" aria-pressed={isPaused} onClick={() => setPaused(!isPaused)}>
          {isPaused ? '▸ go on' : '‖ pause'}
        </button>
      </Filter>
      <Problem text={problem} />
      {items === undefined && problem === '' && <p class="loading">Loading…</p>}
      {items?.length === 0 && <Empty command="plinth events -f 'container.*'">No event fits the filter so far.</Empty>}
      <ol class="events" aria-label="events, newest first">
        {(items ?? []).map((entry) => (
          <Event key={entry.sequence} entry={entry} />
        ))}
      </ol>
      {session.value?.role === 'admin' && <DeadLetters />}
    </>
  );
}

const toneOf = (subject: string): Tone => {
  if (/\.(?:failed|rejected|lost|reverted|halted|unhealthy)$/.test(subject)) return 'bad';
  if (subject.endsWith('.requested')) return 'busy';
  return /\.(?:started|updated|completed|healthy|recovered|promoted)$/.test(subject) ? 'good' : 'idle';
};
const GLYPHS = { good: '●', busy: '▸', bad: '✕', idle: '·' } as const;

function summaryOf({ data }: EventEntry): string {
  const text = (key: string): string => (typeof data[key] === 'string' ? data[key] : '');
  const who =
    text('name') || text('containerId').slice(0, 8) || text('id').slice(0, 8) || text('rolloutId').slice(0, 8);
  const parts = [
    who,
    text('tenant') && `(${text('tenant')})`,
    text('host') && `on ${text('host')}`,
    text('image') || text('version'),
  ];
  const why = [text('reason'), text('message')].filter(Boolean).join(': ');
  return `${parts.filter(Boolean).join(' ')}${why === '' ? '' : ` — ${why}`}`;
}

function Event({ entry }: { readonly entry: EventEntry }) {
  const tone = toneOf(entry.subject);
  return (
    <li>
      <time dateTime={entry.time} title={exact(entry.time)}>
        {clock(entry.time)}
      </time>{' '}
      <a href={`/events?request=${encodeURIComponent(entry.correlationId)}`}>
        <Mark glyph={GLYPHS[tone]} tone={tone} text={entry.subject} />
      </a>{' '}
      <span class="sum">
        {summaryOf(entry)}
        {entry.actor === null ? '' : ` · ${entry.actor} asked`}
      </span>
    </li>
  );
}

/** One column of causes: what follows from what is indented below it. */
function Causality({ id }: { readonly id: string }) {
  const { data: found } = useAsked<{ items: readonly EventEntry[] }>(
    `/events?correlation=${encodeURIComponent(id)}&limit=500`,
  );
  const { data: request } = useAsked<RequestAnswer>(`/requests/${encodeURIComponent(id)}`);
  const items = [...(found?.items ?? [])].reverse();
  const known = new Set(items.map((entry) => entry.id));
  const begin = Date.parse(items[0]?.time ?? '');
  const below = (cause: string | undefined): readonly EventEntry[] =>
    items.filter((entry) =>
      cause === undefined ? entry.causationId === null || !known.has(entry.causationId) : entry.causationId === cause,
    );
  const tree = (cause: string | undefined, depth: number): preact.ComponentChildren => {
    const entries = below(cause);
    if (entries.length === 0 || depth > 20) return null;
    return (
      <ol class="causes">
        {entries.map((entry) => (
          <li key={entry.sequence}>
            <span class="offset">+{Date.parse(entry.time) - begin} ms</span>{' '}
            <Mark glyph={GLYPHS[toneOf(entry.subject)]} tone={toneOf(entry.subject)} text={entry.subject} />{' '}
            <span class="sum">
              {summaryOf(entry)} · {entry.source}
              {entry.actor === null ? '' : ` · ${entry.actor} asked`}
            </span>
            <details>
              <summary>as JSON</summary>
              <pre tabIndex={0}>{JSON.stringify(entry.data, null, 2)}</pre>
            </details>
            {tree(entry.id, depth + 1)}
          </li>
        ))}
      </ol>
    );
  };
  return (
    <>
      <h1>What one request led to</h1>
      <p>
        <a href="/events">All events</a> · <code>{id}</code>
      </p>
      {request && (
        <p class="message">
          {request.actor} asked: {request.act.replace('.', ' ')} {request.target ?? ''}{' '}
          <Outcome state={request.state} /> {request.reason ?? ''} {request.message ?? ''}
        </p>
      )}
      {found && items.length === 0 && (
        <Empty command="plinth events --since 1h">
          The console keeps the last 5,000 events; none of them is of this request.
        </Empty>
      )}
      {tree(undefined, 0)}
    </>
  );
}

function DeadLetters() {
  const { data, problem, change } = useChangeable<DeadLetterList>('/dead-letters');
  return (
    <section aria-labelledby="letters">
      <h2 id="letters">Dead letters</h2>
      <Problem text={problem} />
      {data?.items.length === 0 && <p class="loading">None: every message was taken.</p>}
      {data && data.items.length > 0 && (
        <Table
          label="dead letters, as a table"
          head={['number', 'subject', 'service', 'reason', 'at', { unseen: 'act' }]}
        >
          {data.items.map(({ sequence, subject, service, reason, storedAt, notReplayable }) => (
            <tr key={sequence}>
              <th scope="row">{sequence}</th>
              <td>{subject}</td>
              <td>{service}</td>
              <td>{reason}</td>
              <td>{exact(storedAt)}</td>
              <td>
                <button
                  type="button"
                  disabled={notReplayable !== null}
                  title={notReplayable ?? 'send its request again'}
                  aria-label={`retry dead letter ${sequence}`}
                  onClick={() => void change('POST', `/dead-letters/${sequence}/retry`)}
                >
                  retry
                </button>{' '}
                <button
                  type="button"
                  aria-label={`drop dead letter ${sequence}`}
                  onClick={() => void change('DELETE', `/dead-letters/${sequence}`)}
                >
                  drop
                </button>
              </td>
            </tr>
          ))}
        </Table>
      )}
    </section>
  );
}
