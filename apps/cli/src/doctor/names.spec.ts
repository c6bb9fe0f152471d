import { expect, it } from '@jest/globals';
import { addressWord, listening } from './names.js';

const UDP = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  12: 0101FEA9:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 12 2 0000000000000000 0
  13: 00000000:0044 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 13 2 0000000000000000 0`;
const TCP = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0035 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 14 1 0000000000000000
   1: 0100007F:0035 0100007F:8000 01 00000000:00000000 00:00000000 00000000     0        0 15 1 0000000000000000`;
const UDP6 = `  sl  local_address                         remote_address                        st
  14: 00000000000000000000000000000000:0035 00000000000000000000000000000000:0000 07`;

it('finds who has the port', () => {
  expect(listening(UDP, false)).toEqual([addressWord('169.254.1.1')]);
  expect(listening(TCP, true)).toEqual(['00000000']);
  expect(listening(UDP6, false)).toEqual(['0'.repeat(32)]);
  expect(listening('', false)).toEqual([]);
});
