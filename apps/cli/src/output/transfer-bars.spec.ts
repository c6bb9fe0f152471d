import { transferLines } from './transfer-bars.js';

it('shows how far each node is', () =>
  expect(
    transferLines([
      {
        node: 'sn-1',
        transfer: { image: 'os@v1', bytes: 512, ofBytes: 1024, source: 'http://10.0.0.7:8090/images/os/v1' },
      },
      { node: 'sn-10', transfer: { image: 'os@v1', bytes: 512 } },
      { node: 'sn-2' },
    ]),
  ).toEqual([
    'sn-1   [###############...............]   512 B of 1.0 KiB from http://10.0.0.7:8090',
    'sn-10  [..............................]   512 B',
    'sn-2   [..............................]   waits for its turn',
  ]));

it('is as long as a screen takes', () =>
  expect(transferLines(Array.from({ length: 20 }, (_, index) => ({ node: `sn-${index}` })))).toHaveLength(17));
