import { manifestUrl, parsePeerPath, segmentUrl } from './peer-paths.js';

const image = { name: 'debian-12', version: 'v3' };

it.each([
  ['signature.json', { image, document: 'signature.json' }],
  ['manifest.json', { image, document: 'manifest.json' }],
  ['mount.sh', { image, document: 'mount.sh' }],
  ['manifests/v2.zst', { image, manifestAgainst: 'v2' }],
  ['segments/1/nothing/0.zst', { image, segment: 0 }],
  ['segments/1/v2/17.zst', { image, segment: 17, base: 'v2' }],
])('%s is served', (path, file) => expect(parsePeerPath(`/images/debian-12/v3/${path}`)).toEqual(file));

it.each([
  ...[
    '/images/debian-12/v3/root/etc/shadow',
    '/images/debian-12/v3/',
    '/images/debian-12/v3',
    '/images/../v3/mount.sh',
  ],
  ...['/images/debian-12/v3/../v2/mount.sh', '/images/debian-12/v3/damaged.json', '/images/debian-12/v3/mount.sh?x'],
  ...['/images/debian-12/v3/segments/2/nothing/0.zst', '/images/debian-12/v3/segments/1/v3/0.zst', ''],
  ...['/images/debian-12/v3/manifests/v3.zst', '/images/debian-12/v3/manifests/nothing.zst'],
  ...['/images/debian-12/v3/manifests/../v2.zst', '/images/debian-12/v3/manifests/v2.zst/'],
  ...['/images/debian-12/v3/segments/1/nothing/-1.zst', '/images/debian-12/v3/segments/1/nothing/01.zst'],
  ...[
    '/images/debian-12/v3/segments/1/nothing/1e3.zst',
    '/images/debian-12/v3/%2e%2e/mount.sh',
    '/images/A/v3/mount.sh',
  ],
])('%s is not', (path) => expect(parsePeerPath(path)).toBeUndefined());

it('asks for what is served', () => {
  expect(parsePeerPath(manifestUrl('http://a:1/images/debian-12/v3', 'v2').pathname)).toEqual({
    ...{ image, manifestAgainst: 'v2' },
  });
  for (const from of ['v2', undefined])
    expect(parsePeerPath(segmentUrl('http://a:1/images/debian-12/v3', from, 4).pathname)).toEqual({
      ...{ image, segment: 4 },
      ...(from && { base: from }),
    });
});
