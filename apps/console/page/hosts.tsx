/** Hosts as squares, and storage nodes as bars; the tables behind them have the same numbers. */
import type { HostStatus } from '@plinth/contracts';
import { Act, type Action, actionsOn, mayAct } from './act.js';
import { bytes, count } from './format.js';
import { isLoaded, values } from './live.js';
import { Ago, Bar, Empty, Mark } from './parts.js';
import { listOf } from './route.js';
import { Table } from './table.js';

const byName = <T extends { readonly host?: string; readonly node?: string }>(a: T, b: T): number =>
  (a.host ?? a.node ?? '').localeCompare(b.host ?? b.node ?? '', 'en', { numeric: true });

/** The part of its memory that is promised to containers. */
const promised = ({ allocated, capacity }: HostStatus): number =>
  capacity.memoryBytes > 0 ? allocated.memoryBytes / capacity.memoryBytes : 0;

function stateOf({ state, cordoned, drain }: HostStatus): string {
  return [state, drain ? `draining, ${drain.left} left` : cordoned ? 'cordoned' : ''].filter(Boolean).join(', ');
}

function Square({ host }: { readonly host: HostStatus }) {
  const used = Math.round(promised(host) * 100);
  const label = `${host.host}: ${stateOf(host)}, ${used} % of its memory is promised`;
  return (
    <a class="square" href={listOf(`host:${host.host}`)} aria-label={label} title={label}>
      <svg viewBox="0 0 24 24" aria-hidden="true">
        <rect class="room" x="1" y="1" width="22" height="22" />
        <rect
          class={used > 90 ? 'fill full' : 'fill'}
          x="1"
          y={23 - (22 * used) / 100}
          width="22"
          height={(22 * used) / 100}
        />
        {host.cordoned && <path class="hatch" d="M1 23 23 1M1 12 12 1M12 23 23 12" />}
        {host.drain && <circle class="ring" cx="12" cy="12" r="8" />}
        {host.state !== 'ready' && (
          <text class="cross" x="12" y="18" text-anchor="middle">
            {host.state === 'lost' ? '✕' : '?'}
          </text>
        )}
      </svg>
    </a>
  );
}

export function HostStrip() {
  const hosts = values('hosts').sort(byName);
  const centres = [...new Set(hosts.map(({ datacenter }) => datacenter))].sort();
  return (
    <section aria-labelledby="hosts">
      <h2 id="hosts">{count(hosts.length)} hosts</h2>
      {hosts.length === 0 && <Empty command="plinth up --hosts 2">No host has reported yet.</Empty>}
      {centres.map((centre) => (
        <div key={centre} class="strip">
          <span class="centre">{centre}</span>
          {hosts
            .filter(({ datacenter }) => datacenter === centre)
            .map((host) => (
              <Square key={host.host} host={host} />
            ))}
        </div>
      ))}
      {hosts.length > 0 && (
        <p class="legend">Fill: memory promised. ✕ lost, ? suspect, hatched: cordoned, ring: draining.</p>
      )}
    </section>
  );
}

function actionsOf({ host, cordoned, drain, allocated }: HostStatus): readonly Action[] {
  const action = actionsOn('host', host);
  return [
    cordoned
      ? action(`Uncordon ${host}`, 'uncordon', `${host} takes containers again${drain ? ', and its drain ends' : ''}.`)
      : action(`Cordon ${host}`, 'cordon', `Nothing new is placed on ${host}; what runs there stays.`),
    ...(drain
      ? []
      : [
          action(
            `Drain ${host}`,
            'drain',
            `${count(allocated.containers)} containers of ${host} move to others, a few at a time; each restarts. Those for which no host has room stay.`,
            {
              fields: [{ name: 'parallel', label: 'On their way at once', type: 'number', value: '1' }],
              body: ({ parallel }) => (parallel ? { parallel: Number(parallel) } : {}),
              command: ({ parallel }) =>
                `plinth host drain ${host}${parallel && parallel !== '1' ? ` --parallel ${parallel}` : ''}`,
              why: 'needed',
            },
          ),
        ]),
  ];
}

export function Fleet() {
  const hosts = values('hosts').sort(byName);
  const nodes = values('storage').sort(byName);
  if (!isLoaded.value) return <p class="loading">Loading…</p>;
  return (
    <>
      <h1>Fleet</h1>
      <HostStrip />
      {hosts.length > 0 && (
        <Table
          label="hosts, as a table"
          head={[
            'host',
            'state',
            { number: 'containers' },
            'memory promised',
            { number: 'load' },
            'last report',
            { unseen: 'act' },
          ]}
        >
          {hosts.map((host) => (
            <tr key={host.host}>
              <th scope="row">
                <a href={listOf(`host:${host.host}`)}>{host.host}</a>
              </th>
              <td>
                <Mark
                  glyph={host.state === 'ready' ? '●' : host.state === 'lost' ? '✕' : '?'}
                  tone={host.state === 'ready' ? (host.cordoned ? 'busy' : 'good') : 'bad'}
                  text={stateOf(host)}
                />
              </td>
              <td class="number">
                {count(host.allocated.containers)} of {count(host.capacity.containers)}
              </td>
              <td>
                <Bar share={promised(host)} label={`${Math.round(promised(host) * 100)} %`} />
                {bytes(host.allocated.memoryBytes)} of {bytes(host.capacity.memoryBytes)}
              </td>
              <td class="number">{host.load.load1.toFixed(2)}</td>
              <td>
                <Ago at={host.lastSeenAt} />
              </td>
              <td>
                {actionsOf(host)
                  .filter(({ act }) => mayAct(act))
                  .map((action) => (
                    <Act key={action.label} action={action} />
                  ))}
              </td>
            </tr>
          ))}
        </Table>
      )}
      <section aria-labelledby="storage">
        <h2 id="storage">{count(nodes.length)} storage nodes</h2>
        {nodes.length === 0 && <Empty command="plinth storage">No storage node has reported yet.</Empty>}
        <ul class="nodes">
          {nodes.map(({ node, state, totalBytes, freeBytes, images, volumes, lastSeenAt }) => {
            const used = totalBytes > 0 ? 1 - freeBytes / totalBytes : 0;
            return (
              <li key={node}>
                <b>{node}</b>{' '}
                <Mark glyph={state === 'ready' ? '●' : '✕'} tone={state === 'ready' ? 'good' : 'bad'} text={state} />
                <Bar share={used} label={`${Math.round(used * 100)} % used`} />
                {bytes(freeBytes)} of {bytes(totalBytes)} free · {count(images.length)} images · {count(volumes)}{' '}
                volumes · <Ago at={lastSeenAt} />
              </li>
            );
          })}
        </ul>
      </section>
    </>
  );
}
