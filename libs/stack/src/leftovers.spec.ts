import { isOfPerson, mountsBelow } from './leftovers.js';

describe('mountsBelow', () => {
  const line = (target: string): string => `36 35 98:0 / ${target} rw,noatime - ext4 /dev/root rw`;

  it('finds the home and what lies below it, with escaped characters', () => {
    const text = [line('/srv/plinth'), line('/srv/plinth/hosts/a\\040b'), line('/')].join('\n');
    expect(mountsBelow(text, '/srv/plinth')).toEqual(['/srv/plinth', '/srv/plinth/hosts/a b']);
  });

  it('does not take a neighbour whose name begins alike', () => {
    expect(mountsBelow(line('/srv/plinth2/x'), '/srv/plinth')).toEqual([]);
  });
});

describe('isOfPerson', () => {
  it.each([
    ['/srv/plinth', true],
    ['/srv/plinth/storage/sn-1', true],
    ['/srv/plinth/storage/sn-1/images/debian-12', false],
    ['/srv/plinth/storage', false],
    ['/srv/plinth/hosts/host-1', false],
    ['/srv/storage/sn-1', false],
  ])('%s: %s', (mount, is) => {
    expect(isOfPerson(mount, '/srv/plinth')).toBe(is);
  });
});
