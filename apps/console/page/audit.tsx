/** Who did what, newest first. */
import type { AuditEntry, AuditList } from '@plinth/contracts/console';
import { useState } from 'preact/hooks';
import { Outcome } from './act.js';
import { ask } from './api.js';
import { useAsked } from './asked.js';
import { Filter, filterQuery } from './form.js';
import { exact } from './format.js';
import { Empty, Problem } from './parts.js';
import { Table } from './table.js';

const FIELDS = [
  { name: 'actor', label: 'Who', placeholder: 'alice' },
  { name: 'act', label: 'What', placeholder: 'rollout, container.stop' },
  { name: 'target', label: 'To what', placeholder: 'h-1' },
];

export function Audit() {
  const [older, setOlder] = useState<readonly AuditEntry[]>([]);
  const [next, setNext] = useState<string | undefined>();
  const path = `/audit?${filterQuery(FIELDS, 50)}`;
  const { data, problem } = useAsked<AuditList>(path);
  const cursor = older.length > 0 ? next : data?.next;
  return (
    <section aria-labelledby="audit">
      <h2 id="audit">Who did what</h2>
      <Filter fields={FIELDS} onChange={() => setOlder([])} />
      <Problem text={problem} />
      {data?.items.length === 0 && <Empty>Nobody did anything that fits.</Empty>}
      {data && data.items.length > 0 && (
        <Table label="who did what, as a table" head={['at', 'who', 'did', 'outcome', 'why', 'from']}>
          {[...data.items, ...older].map((entry) => (
            <tr key={entry.sequence}>
              <td>{exact(entry.at)}</td>
              <td>{entry.actor}</td>
              <td class="text">
                {entry.requestId === null ? entry.act : <a href={`/events?request=${entry.requestId}`}>{entry.act}</a>}{' '}
                {entry.target ?? ''}
              </td>
              <td class="text">
                <Outcome state={entry.outcome} /> {entry.reason ?? ''}
              </td>
              <td class="text">{entry.why ?? entry.message ?? ''}</td>
              <td>
                {entry.via} {entry.address ?? ''}
              </td>
            </tr>
          ))}
        </Table>
      )}
      {cursor !== undefined && (
        <button
          type="button"
          onClick={() =>
            void ask<AuditList>('GET', `${path}&cursor=${cursor}`).then((answer) => {
              if (!answer.ok) return;
              setOlder([...older, ...answer.data.items]);
              setNext(answer.data.next);
            })
          }
        >
          older
        </button>
      )}
    </section>
  );
}
