import { describe, expect, it } from '@jest/globals';
import { newUserKey, nkeyLogin } from './nkey-login.js';

const FIRST = 'SUAMA6LNV7GEJOAI6CXKMUWWJFQRYLYQRDQBECNF7FLB2I4SOBK32WCMQA';
const SECOND = 'SUALAWIPSN6SXSIEO7MITWDRHOKKBUNB7XRIX3IBU7S4VRWA3LDUITG6KQ';
const PUBLIC = new Map([
  [FIRST, 'UBGLMDYLTNWN44KOOOZPLYVWUJ5WEW3QO3HTGJA4GNK3THEVLZ6UR64S'],
  [SECOND, 'UA6HN4FBC3OXQFTP32L73XFAAN4D5SER6XAEDUDUEWXFHMJZ3MNSFBIY'],
]);

describe('the login by an nkey', () => {
  // What the library gives with its own curve.
  it.each([
    [FIRST, 'a-nonce', 'Z6Spjyroi0OhpbRh67L5MkSZCuohc7MkyNLmbkB1zppupxt2uX4IDwOZeN2U9PFG5kDmqlANK6Vsea1of6mlAw=='],
    [FIRST, 'ä', 'N49JWTpr3eoHQ+ew6wq44yNJFLVdcgxkO3SkuRxk3XMf68rmM95ygPJIEazKYqvDl2E6mmLOf2FUHZgNWNziDw=='],
    [SECOND, 'a-nonce', 'Nf8Jwxi7Cmxkye1MDzx1PAyDh6nATadXYcid76HAfPVC8ktf+d0jXriQtD6VZc5s32b8fW+n6iL1HrENd64KAg=='],
    [SECOND, '', ''],
    [SECOND, undefined, ''],
  ])('of %s with the nonce %p', (seed, nonce, sig) => {
    expect(nkeyLogin(seed, nonce)).toEqual({ nkey: PUBLIC.get(seed), sig });
  });

  it('is not made with a seed that was changed', () => {
    expect(() => nkeyLogin(FIRST.replace('LNV', 'LNW'), 'nonce')).toThrow(/checksum|seed|encoding/i);
    expect(() => nkeyLogin(FIRST.slice(0, 50), 'nonce')).toThrow(/checksum|seed|encoding/i);
  });

  it('of a new key has its public key', () => {
    const { seed, publicKey } = newUserKey();
    expect(seed).toMatch(/^SU[A-Z2-7]{56}$/);
    expect(publicKey).toMatch(/^U[A-Z2-7]{55}$/);
    expect(nkeyLogin(seed, 'nonce')).toMatchObject({ nkey: publicKey });
    expect(newUserKey().seed).not.toBe(seed);
  });
});
