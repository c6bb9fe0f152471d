/** One container: how it is, why, what happened, and the commands for it. */
import type { ContainerDetails, ContainerStatus } from '@plinth/contracts';
import type { ContainerAnswer } from '@plinth/contracts/console';
import { useAsked } from './asked.js';
import { ContainerActions } from './container-acts.js';
import { exact, word } from './format.js';
import { container, isLoaded } from './live.js';
import { Ago, Command, Empty, type Fact, Facts, Health, State } from './parts.js';
import { Logs } from './logs.js';
import { listOf } from './route.js';

export function Container({ id }: { readonly id: string }) {
  const live = container(id);
  // Again with each change of what the stream shows of it.
  const stamp = live && `${live.state} ${live.generation} ${live.restarts} ${live.health} ${live.update?.state}`;
  const { data: answer, problem } = useAsked<ContainerAnswer>(`/containers/${id}`, stamp);
  const status = live ?? answer?.status;
  if (!status) {
    if (problem !== undefined) return <Empty command="plinth ps --all">{problem}</Empty>;
    return <p class="loading">{isLoaded.value ? 'Looking for it…' : 'Loading…'}</p>;
  }
  return <Sheet status={status} details={answer?.details ?? undefined} />;
}

function Sheet({ status, details }: { readonly status: ContainerStatus; readonly details?: ContainerDetails }) {
  const tenant = status.tenant === 'default' ? '' : ` --tenant ${word(status.tenant)}`;
  const name = word(status.name);
  const facts: Fact[] = [
    ['state', <State key="state" state={status.state} />],
    ['health', status.health ? <Health key="health" health={status.health} /> : 'no check'],
    [
      'tenant',
      <a key="tenant" href={listOf(`tenant:${status.tenant}`)}>
        {status.tenant}
      </a>,
    ],
    [
      'host',
      status.host ? (
        <a key="host" href={listOf(`host:${status.host}`)}>
          {status.host}
        </a>
      ) : (
        '–'
      ),
    ],
    ['storage node', status.storageNode ?? '–'],
    [
      'image',
      status.image ? (
        <a key="image" href={listOf(`image:${status.image}`)}>
          {status.image}
        </a>
      ) : (
        '–'
      ),
    ],
    ['known good', status.knownGood ?? '–'],
    ['address', status.address?.ipv4 ?? status.addresses?.join(', ') ?? '–'],
    ['restarts', String(status.restarts)],
    ['generation', String(status.generation)],
    ['requested', <Ago key="requested" at={status.requestedAt} />],
    ['started', status.startedAt ? <Ago key="started" at={status.startedAt} /> : '–'],
    ['exit code', status.exitCode === null || status.exitCode === undefined ? '–' : String(status.exitCode)],
  ];
  return (
    <>
      <h1>
        {status.name} <State state={status.state} />
      </h1>
      {status.message && <p class={status.state === 'failed' ? 'message bad' : 'message'}>{status.message}</p>}
      {status.update && (
        <p class="message">
          Update {status.update.from} → {status.update.to}: {status.update.state}
          {status.update.message ? `: ${status.update.message}` : ''}
        </p>
      )}
      <Facts facts={facts} id={status.id} />
      {(status.ports ?? []).length > 0 && (
        <section aria-labelledby="ports">
          <h2 id="ports">Ports</h2>
          <ul class="reasons">
            {status.ports.map((port) => (
              <li key={`${port.protocol} ${port.hostPort}`}>
                {status.host} port {port.hostPort} → {port.containerPort} ({port.protocol})
              </li>
            ))}
          </ul>
        </section>
      )}
      <ContainerActions status={status} />
      <section aria-labelledby="commands">
        <h2 id="commands">Commands</h2>
        <ul class="commands">
          {['inspect', 'logs -f', 'restart'].map((action) => (
            <li key={action}>
              <Command text={`plinth ${action} ${name}${tenant}`} />
            </li>
          ))}
          {status.state === 'running' && (
            <li>
              <Command text={`plinth exec ${name}${tenant} -- sh`} />
            </li>
          )}
        </ul>
      </section>
      <Logs key={status.id} id={status.id} hasHost={status.host !== null} />
      <section aria-labelledby="history">
        <h2 id="history">History</h2>
        {details ? (
          <ol class="history">
            {details.history.map((entry, index) => (
              <li key={`${entry.at} ${index}`}>
                <time dateTime={entry.at}>{exact(entry.at)}</time> <b>{entry.kind}</b> generation {entry.generation}
                {entry.message ? ` · ${entry.message}` : ''}
              </li>
            ))}
          </ol>
        ) : (
          <p class="loading">The provisioner has not answered; what stands above is the last that was reported.</p>
        )}
      </section>
    </>
  );
}
