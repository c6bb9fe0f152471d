import { featureChecks } from './kernel.js';
import { cgroupCheck, hasCapability, nodeIsRecent } from './machine.js';
import { firstVersion } from './programs.js';

describe('doctor', () => {
  it.each([
    ['20.18.3', false],
    ['20.19.0', true],
    ['22.1.0', true],
    ['18.20.0', false],
  ])('judges Node.js %s', (version, recent) => expect(nodeIsRecent(version)).toBe(recent));

  it('reads capabilities from the effective set', () => {
    expect(hasCapability('CapPrm:\t0\nCapEff:\t0000000001000000\n', 24n)).toBe(true);
    expect(hasCapability('CapEff:\t0000000000200000\n', 24n)).toBe(false);
    expect(hasCapability('', 24n)).toBe(false);
  });

  it.each([
    ['nats-server: v2.9.10', '2.9.10'],
    ['*** Zstandard CLI (64-bit) v1.5.4, by Yann Collet ***', '1.5.4'],
    ['runc version 1.1.5+ds1', 'runc 1.1.5+ds1'],
    ['something else', 'something else'],
  ])('finds the version in "%s"', (line, version) => expect(firstVersion(line)).toBe(version));

  it('names each part of the kernel that is missing', () => {
    const [here, away] = [
      { name: 'overlayfs', problem: undefined, todo: 'modprobe overlay' },
      { name: 'pid namespaces', problem: 'EINVAL', todo: 'another kernel' },
    ];
    expect(featureChecks([here])).toEqual([{ name: 'kernel', state: 'ok', found: 'overlayfs' }]);
    expect(featureChecks([here, away])).toEqual([
      {
        name: 'kernel',
        state: 'fail',
        found: 'pid namespaces, which every container needs: EINVAL',
        todo: 'agents do not start; another kernel',
      },
    ]);
  });

  it.each([
    ['unified', [], undefined, 'ok', /^version 2$/],
    ['legacy', ['memory'], undefined, 'fail', /version 1; limits that can't be held: memory \(memory: why\)/],
    ['hybrid', ['cpus', 'pids'], 'preferred', 'warn', /cpus \(cpus: why\); pids/],
  ] as const)('judges cgroups: %s without %j', (layout, missing, policy, state, found) => {
    const limits = missing.map((limit) => ({ limit, message: `${limit}: why` }));
    expect(cgroupCheck(layout, limits, policy)).toMatchObject({ state, found: expect.stringMatching(found) });
  });
});
