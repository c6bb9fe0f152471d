import { describe, expect, it } from '@jest/globals';
import { mergeNsswitch } from './nsswitch.js';

describe('mergeNsswitch', () => {
  it('replaces what is named, keeps the rest, adds what is new', () => {
    expect(
      mergeNsswitch('# comment\npasswd:         files systemd\nhosts: files dns\n', {
        passwd: ['files', 'ldap'],
        sudoers: ['files'],
      }),
    ).toBe('# comment\npasswd:         files ldap\nhosts: files dns\nsudoers:        files\n');
  });
});
