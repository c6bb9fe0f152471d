import { describe, expect, it } from '@jest/globals';
import { hierarchiesToLeave, hierarchiesWith } from './outliving-group.js';

const GROUP = '/plinth-monitors.0123456789ab';
const AT = '/sys/fs/cgroup';

describe('the hierarchies that a process leaves for the group', () => {
  it.each([
    ['version 2, in a container', `0::/docker/f00d\n`, AT, [AT]],
    ['version 2, in a unit', `0::/system.slice/plinth-host-agent.service\n`, AT, [AT]],
    ['version 2, in the root', '0::/\n', AT, []],
    ['version 2, in the group', `0::${GROUP}\n`, AT, []],
    [
      'hybrid, in a container',
      '9:name=systemd:/docker/f00d\n5:cpu,cpuacct:/docker/f00d\n1:pids:/docker/f00d\n0::/docker/f00d\n',
      `${AT}/unified`,
      [`${AT}/systemd`, `${AT}/cpu,cpuacct`, `${AT}/pids`, `${AT}/unified`],
    ],
    ['hybrid, in one group only', `4:memory:/a:b\n1:pids:/\n0::/\n`, `${AT}/unified`, [`${AT}/memory`]],
    [
      'version 1, where version 2 is not mounted',
      '4:memory:/user.slice\n0::/user.slice\n',
      undefined,
      [`${AT}/memory`],
    ],
    ['a process that has ended', '', AT, []],
  ])('%s', (_case, text, root, expected) => {
    expect(hierarchiesToLeave(text, GROUP, root)).toEqual(expected);
  });

  it('are those that it is in the group of, once it has left', () => {
    const text = `4:memory:${GROUP}\n1:pids:/\n0::${GROUP}\n`;
    expect(hierarchiesWith(text, GROUP, AT)).toEqual([`${AT}/memory`, AT]);
    expect(hierarchiesWith(text, '/plinth-monitors.another', AT)).toEqual([]);
  });
});
