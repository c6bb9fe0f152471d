/** What a person does with containers. */
import type { ContainerStatus } from '@plinth/contracts';
import { type Action, Actions } from './act.js';
import { word } from './format.js';

const MIB = 1024 ** 2;

/** A number that was typed; undefined: nothing was. @throws Error when it is none */
function numberOf(text: string | undefined, what: string): number | undefined {
  if (text === undefined || text.trim() === '') return undefined;
  const value = Number(text);
  if (!Number.isFinite(value) || value <= 0) throw new Error(`${what} is a number above 0`);
  return value;
}

function limitsOf(fields: Readonly<Record<string, string>>): object {
  const memory = numberOf(fields['memory'], 'memory');
  const cpus = numberOf(fields['cpus'], 'processors');
  const pids = numberOf(fields['pids'], 'processes');
  return {
    ...(memory === undefined ? {} : { memoryBytes: Math.round(memory * MIB) }),
    ...(cpus === undefined ? {} : { cpus }),
    ...(pids === undefined ? {} : { pids }),
  };
}

export function ContainerActions({ status }: { readonly status: ContainerStatus }) {
  const tenant = status.tenant === 'default' ? '' : ` --tenant ${word(status.tenant)}`;
  const name = word(status.name);
  const path = `/containers/${status.id}`;
  const actions: Action[] = [
    ...(status.state === 'stopped' || status.state === 'failed'
      ? [
          {
            label: 'Start',
            act: 'container.start',
            path: `${path}/start`,
            what: `${status.name} is placed and started on ${status.image ?? 'its image'}.`,
            command: `plinth start ${name}${tenant}`,
          },
        ]
      : [
          {
            label: 'Stop',
            act: 'container.stop',
            path: `${path}/stop`,
            what: `${status.name} gets its stop signal, and SIGKILL after its grace. It stays stopped until somebody starts it; its data stay.`,
            command: `plinth stop ${name}${tenant}`,
          },
          {
            label: 'Restart',
            act: 'container.restart',
            path: `${path}/restart`,
            what: `${status.name} is stopped and started: what it has in its writable places is gone, its data stay.`,
            command: `plinth restart ${name}${tenant}`,
          },
        ]),
    {
      label: 'Set limits',
      act: 'container.change',
      path: `${path}/change`,
      what: 'What is empty stays as it is. What a running container can’t take is in effect at its next start.',
      fields: [
        { name: 'memory', label: 'Memory, MiB', type: 'number' },
        { name: 'cpus', label: 'Processors', type: 'number' },
        { name: 'pids', label: 'Processes and threads', type: 'number' },
      ],
      body: (fields) => {
        const limits = limitsOf(fields);
        if (Object.keys(limits).length === 0) throw new Error('give at least one');
        return { limits };
      },
      command: ({ memory: mib, cpus, pids }) =>
        `plinth set ${name}${tenant}${mib ? ` --memory ${mib}M` : ''}${cpus ? ` --cpus ${cpus}` : ''}${pids ? ` --pids ${pids}` : ''}`,
    },
    {
      label: 'Switch image',
      act: 'container.switch',
      path: `${path}/switch`,
      what: `${status.name} restarts on another image, is watched, and goes back to ${status.knownGood ?? status.image ?? 'its image'} by itself when it fails.`,
      fields: [
        { name: 'to', label: 'To', placeholder: 'debian-12@v2, debian-12 or known-good', required: true },
        { name: 'soak', label: 'Seconds to watch it', type: 'number', placeholder: '60' },
      ],
      body: ({ to, soak }) => ({ to, ...(soak ? { soakSeconds: Number(soak) } : {}) }),
      command: ({ to, soak }) =>
        `plinth switch ${name}${tenant} --to ${word(to || '…')}${soak ? ` --soak ${soak}` : ''}`,
    },
    {
      label: 'Remove',
      act: 'container.remove',
      path: `${path}/remove`,
      what: `${status.name} is stopped and removed, with its data volume.`,
      typed: status.name,
      command: `plinth rm ${name}${tenant}`,
    },
  ];
  return (
    <section aria-labelledby="acts">
      <h2 id="acts">Do</h2>
      <Actions actions={actions} label={`what can be done with ${status.name}`} />
    </section>
  );
}

/** @param tenants of a developer */
export function RunContainer({ tenants }: { readonly tenants: readonly string[] | undefined }) {
  const action: Action = {
    label: 'Run a container',
    act: 'container.create',
    path: '/containers',
    what: 'It is placed on a host with room and started. What is empty is chosen by the system.',
    fields: [
      { name: 'name', label: 'Name', placeholder: 'shop-1' },
      { name: 'tenant', label: 'Tenant', placeholder: 'default', value: tenants?.[0] },
      // A developer gets the default image.
      ...(tenants ? [] : [{ name: 'image', label: 'Image', placeholder: 'the default' }]),
      { name: 'memory', label: 'Memory, MiB', type: 'number' as const },
    ],
    body: (fields) => {
      const limits = limitsOf(fields);
      const texts = ['name', 'tenant', 'image'].flatMap((key) => (fields[key] ? [[key, fields[key]]] : []));
      return { ...Object.fromEntries(texts), ...(Object.keys(limits).length > 0 ? { limits } : {}) };
    },
    command: ({ name, tenant, image, memory }) =>
      `plinth run${image ? ` ${word(image)}` : ''}${name ? ` --name ${word(name)}` : ''}` +
      `${tenant ? ` --tenant ${word(tenant)}` : ''}${memory ? ` --memory ${memory}M` : ''}`,
  };
  return <Actions actions={[action]} label="new containers" />;
}
