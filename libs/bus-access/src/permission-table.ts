/** The table of rights for the documentation, from the same source as the server's configuration. */
import { type KeyedMember, type Member, memberId } from './members.js';
import { rightsOf } from './rights.js';
import { permissionsOf } from './server-config.js';

const EXAMPLE: readonly Member[] = [
  { kind: 'provisioner' },
  { kind: 'image-builder' },
  { kind: 'storage', name: '<node>' },
  { kind: 'host', name: '<host>' },
  { kind: 'console', name: '<name>' },
  { kind: 'acts', name: 'admin' },
  { kind: 'acts', name: 'operator' },
  { kind: 'acts', name: 'developer' },
  { kind: 'upstream' },
  { kind: 'operator' },
];

export function permissionTable(): string {
  const rows = EXAMPLE.map((member) => {
    const keyed: KeyedMember = { ...member, publicKeys: [] };
    const { publish, subscribe } = permissionsOf(keyed, rightsOf(member, EXAMPLE));
    return `| \`${memberId(member)}\` | ${cell(publish)} | ${cell(subscribe)} |`;
  });
  return ['| user, alone in its account | publishes and asks | subscribes |', '| --- | --- | --- |', ...rows, ''].join(
    '\n',
  );
}

function cell(subjects: readonly string[]): string {
  return subjects.map((subject) => `\`${subject}\``).join(' ');
}
