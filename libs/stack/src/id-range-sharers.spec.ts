/** Who takes ranges of user ids in docker-compose.yml sees what the others of the machine have taken, and whether they run. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';

const COMPOSE = join(import.meta.dirname, '../../../docker-compose.yml');
const { services } = parse(readFileSync(COMPOSE, 'utf8'), { merge: true }) as {
  services: Readonly<Record<string, { readonly privileged?: boolean; readonly volumes?: readonly string[] }>>;
};

it.each(['image-builder', 'host-agent-1', 'host-agent-2'])('%s shares claims, processes and groups', (name) => {
  expect(services[name]).toMatchObject({ privileged: true, pid: 'host', cgroup: 'host' });
  expect(services[name]?.volumes).toEqual(
    expect.arrayContaining(['/run/plinth:/run/plinth', '/sys/fs/cgroup:/sys/fs/cgroup']),
  );
});

it('no other service runs containers', () =>
  expect(Object.keys(services).filter((name) => services[name]?.privileged === true)).toHaveLength(3));
