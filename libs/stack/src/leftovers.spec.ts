import { mountsBelow } from './leftovers.js';

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
