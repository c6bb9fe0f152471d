import { describe, expect, it } from '@jest/globals';
import type { HostUsers } from '@plinth/contracts';
import { offeringUsers, usersNotOffered } from './container-users.js';
import type { CandidateHost } from './placement.js';

const NONE = { memoryBytes: 0, cpus: 0, containers: 0 };

const host = (
  name: string,
  ownUsers: readonly string[] | null,
  hostUsers: HostUsers | null,
  storageNodes = ['sn-1'],
): CandidateHost => ({
  host: name,
  datacenter: 'dc-1',
  storageNodes,
  capacity: NONE,
  allocated: NONE,
  loadPerCore: 0,
  network: false,
  egressPolicies: false,
  diskLimits: [],
  ownUsers,
  hostUsers,
});

const OWN = host('own', ['sn-1'], 'never');
const OWN_OR_ASKED = host('own-or-asked', ['sn-1'], 'request');
const NFS_TOO = host('nfs-too', ['sn-1'], 'never', ['sn-1', 'nfs-1']);
const NEITHER = host('neither', [], 'never');
const FALLBACK = host('fallback', [], 'fallback');
const ALWAYS = host('always', [], 'always');
const OLDER = host('older', null, null);

describe('hosts that give a container the users that it should have', () => {
  it.each([
    ['its own where they can', false, [OWN, NEITHER, OLDER], ['own: sn-1', 'older: sn-1']],
    ['its own on the storage where they can', false, [NFS_TOO], ['nfs-too: sn-1']],
    ["its own before the host's", false, [FALLBACK, OWN, ALWAYS], ['own: sn-1']],
    [
      "the host's by policy, where none gives its own",
      false,
      [FALLBACK, NEITHER, ALWAYS],
      ['fallback: sn-1', 'always: sn-1'],
    ],
    ['none', false, [NEITHER], []],
    [
      "the host's on request",
      true,
      [OWN, OWN_OR_ASKED, ALWAYS, FALLBACK, OLDER],
      ['own-or-asked: sn-1', 'always: sn-1', 'older: sn-1'],
    ],
    ["not the host's where nobody allows it", true, [OWN, FALLBACK], []],
  ])('%s', (_what, asks, hosts, expected) => {
    const found = offeringUsers(hosts, asks);
    expect(found.map(({ host: name, storageNodes }) => `${name}: ${storageNodes.join(',')}`)).toEqual(expected);
  });

  it('are missed with what can be done', () => {
    expect(usersNotOffered(1, false)).toBe(
      'the one ready host can not give containers users of their own on the storage that it reaches; plinth doctor on a host says why',
    );
    expect(usersNotOffered(2, true)).toMatch(/^none of the 2 ready hosts allows .*PLINTH_ALLOW_HOST_USERS=true/);
  });
});
