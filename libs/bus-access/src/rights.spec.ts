import { CATALOGUE } from '@plinth/contracts';
import { accountOf, type Member, parseMember } from './members.js';
import { rightsOf } from './rights.js';
import { accountsConfig, permissionsOf, serverConfig } from './server-config.js';

const MEMBERS: readonly Member[] = [
  { kind: 'provisioner' },
  { kind: 'image-builder' },
  { kind: 'storage', name: 'sn-1' },
  { kind: 'host', name: 'h-1' },
  { kind: 'host', name: 'h-2' },
  { kind: 'console', name: 'c-1' },
  { kind: 'acts', name: 'admin' },
  { kind: 'acts', name: 'developer' },
  { kind: 'upstream' },
  { kind: 'operator' },
];
const keyed = MEMBERS.map((member) => ({ ...member, publicKeys: ['U'] }));

describe('the rules', () => {
  it('give no member all of JetStream, everything, or a rule that forbids', () => {
    const text = JSON.stringify(accountsConfig(keyed));
    expect(text).not.toContain('deny');
    for (const member of keyed) {
      const { publish, subscribe } = permissionsOf(member, rightsOf(member, MEMBERS));
      for (const subject of [...publish, ...subscribe])
        expect(subject).not.toMatch(/^(?:>|\*|\$JS\.(?:>|API\.(?:>|STREAM\.>|CONSUMER\.>))|\$SYS)/);
    }
  });

  it('let only the provisioner near the making of streams and consumers', () => {
    for (const member of keyed.filter(({ kind }) => kind !== 'provisioner')) {
      const { publish } = permissionsOf(member, rightsOf(member, MEMBERS));
      expect(
        publish.filter((subject) => /\.(?:CREATE|UPDATE|DELETE|PURGE|INFO|LIST|NAMES|MSG\.GET)\b/.test(subject)),
      ).toEqual([]);
    }
  });

  it('do not change for the others when a host is added, except for those that ask it', () => {
    const before = accountsConfig(keyed);
    const after = accountsConfig([...keyed, { kind: 'host', name: 'h-3', publicKeys: ['U'] }]);
    const changed = Object.keys(after).filter(
      (account) => JSON.stringify(after[account]) !== JSON.stringify(before[account]),
    );
    expect(changed).toEqual(['CONSOLE-c-1', 'OPERATOR', 'HOST-h-3']);
  });

  it('export all that a member imports', () => {
    const accounts = accountsConfig(keyed);
    const missing: string[] = [];
    const covers = (exported: string, subject: string): boolean =>
      exported
        .split('.')
        .every(
          (token, at, all) =>
            token === '*' || token === subject.split('.')[at] || (token === '>' && at === all.length - 1),
        );
    for (const [name, account] of Object.entries(accounts)) {
      for (const { service, stream } of account.imports ?? []) {
        const wanted = service ?? stream;
        const found =
          wanted &&
          accounts[wanted.account]?.exports?.some((offer) =>
            covers((service ? offer.service : offer.stream) ?? '', wanted.subject),
          );
        if (!found) missing.push(`${name} imports ${JSON.stringify(wanted)}`);
      }
    }
    expect(missing).toEqual([]);
  });

  it('have a receiver for every request, report and heartbeat of the catalogue', () => {
    const calls = MEMBERS.flatMap((member) => rightsOf(member, MEMBERS).calls.map((call) => call.subject));
    const asked = CATALOGUE.filter(({ kind }) => kind === 'request' || kind === 'query').map(({ subject }) =>
      subject.replace('*', 'h-1'),
    );
    expect(asked.filter((subject) => !calls.includes(subject))).toEqual([]);
  });
});

describe('a member', () => {
  it.each([
    ['host-h1', 'HOST-h1'],
    ['storage-sn-1', 'STORAGE-sn-1'],
    ['image-builder', 'IMAGE-BUILDER'],
    ['provisioner', 'CORE'],
    ['upstream', 'UPSTREAM'],
    ['operator-alice', 'OPERATOR-alice'],
    ['acts-operator', 'ACTS-operator'],
  ])('%s is in account %s', (id, account) => {
    const member = parseMember(id);
    expect(member && accountOf(member)).toBe(account);
  });

  it.each([
    'host',
    'acts',
    'acts-viewer',
    'host-',
    'host-A',
    'host-a.b',
    'host-*',
    'provisioner-2',
    'nobody',
    '',
    '../x',
    'host-a/b',
  ])('%s is no member', (id) => {
    expect(parseMember(id)).toBeUndefined();
  });
});

it('the server asks for certificates of clients where an authority for them is named', () => {
  const tls = { certFile: '/c', keyFile: '/k' };
  expect(serverConfig({ listen: 'x:1', storeDirectory: '/s' }, 'a')).not.toContain('tls');
  expect(serverConfig({ listen: 'x:1', storeDirectory: '/s', tls }, 'a')).not.toContain('verify');
  expect(serverConfig({ listen: 'x:1', storeDirectory: '/s', tls: { ...tls, caFile: '/a' } }, 'a')).toContain(
    'ca_file: "/a", verify: true',
  );
});
