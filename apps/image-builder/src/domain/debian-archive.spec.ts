import { describe, expect, it } from '@jest/globals';
import { mainArchive } from './debian-archive.js';

describe('mainArchive', () => {
  it.each<[string, string[], string | undefined]>([
    [
      'the main archive before security',
      ['http://mirror.example/debian-security/|Debian-Security', 'http://mirror.example/debian/|Debian'],
      'http://mirror.example/debian',
    ],
    [
      'not a third party',
      ['https://tools.example/debian/|Tools', 'https://mirror.example/pub/deb/|Debian'],
      'https://mirror.example/pub/deb',
    ],
    [
      'by its address when nothing was fetched yet',
      ['http://mirror.example/debian-security/|', 'http://mirror.example/debian/|'],
      'http://mirror.example/debian',
    ],
    ['no local directory', ['file:/srv/debian/|Debian'], undefined],
    ['not another distribution', ['http://mirror.example/ubuntu/|Ubuntu'], undefined],
    ['nothing', [''], undefined],
  ])('finds %s', (_name, lines, expected) => expect(mainArchive(lines)).toBe(expected));
});
