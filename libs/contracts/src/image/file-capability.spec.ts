import { describe, expect, it } from '@jest/globals';
import { CAPABILITY_NAMES, capabilityText, readCapability } from './file-capability.js';

const bytes = (hex: string): Buffer => Buffer.from(hex, 'hex');
const NET_RAW = '0100000200200000000000000000000000000000';

describe('readCapability', () => {
  it.each<[string, string, string, string]>([
    ['version 2', NET_RAW, NET_RAW, 'cap_net_raw=ep'],
    ['version 3 of the machine', '010000030020000000000000000000000000000000000000', NET_RAW, 'cap_net_raw=ep'],
    ['no effect', `00000002${NET_RAW.slice(8)}`, `00000002${NET_RAW.slice(8)}`, 'cap_net_raw=p'],
    [
      'several, inheritable ones and one beyond 32',
      '010000028020000000200000000100000000000000'.slice(0, 40),
      '0100000280200000002000000001000000000000',
      'cap_setuid,cap_checkpoint_restore=ep cap_net_raw=eip',
    ],
    ['none', `01000002${'0'.repeat(32)}`, `01000002${'0'.repeat(32)}`, '='],
  ])('reads %s', (_, from, to, text) => {
    const read = readCapability(bytes(from));
    expect(read).toMatchObject({ ok: true, hex: to });
    expect(read.ok && capabilityText(read.capability)).toBe(text);
  });

  it.each<[string, string, RegExp]>([
    ['nothing', '', /not 0/],
    ['a byte too many', `${NET_RAW}00`, /not 21/],
    ['an attribute without end', '00'.repeat(70_000), /not 70000/],
    ['version 1', `01000001${'0'.repeat(32)}`, /unknown head 0x1000001/],
    ['version 2 of the size of version 3', `${NET_RAW}00000000`, /unknown head/],
    ['version 3 of the size of version 2', `01000003${NET_RAW.slice(8)}`, /unknown head/],
    ['unknown flags', `05000002${NET_RAW.slice(8)}`, /unknown head/],
    ['another user namespace', `01000003${NET_RAW.slice(8)}e8030000`, /user namespace of user 1000/],
    ['capabilities of the future', `01000002${'0'.repeat(16)}00800000${'0'.repeat(8)}`, /not known/],
  ])('refuses %s', (_, hex, problem) => {
    expect(readCapability(bytes(hex))).toEqual({ ok: false, problem: expect.stringMatching(problem) });
  });

  it('knows the numbers of the kernel', () => {
    const numbers = ['chown', 'setuid', 'net_raw', 'sys_admin', 'setfcap', 'checkpoint_restore'] as const;
    expect(numbers.map((name) => CAPABILITY_NAMES.indexOf(name))).toEqual([0, 7, 13, 21, 31, 40]);
  });
});
