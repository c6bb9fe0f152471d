import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  askedContext,
  type Contexts,
  contextsFile,
  currentContext,
  presetTenant,
  readContexts,
  writeContexts,
} from './contexts.js';

const EAST = { server: 'nats://east:4222', tenant: 'acme' };
const BOTH: Contexts = { current: 'east', contexts: { east: EAST, west: { server: 'nats://west:4222' } } };

let environment: NodeJS.ProcessEnv = {};
beforeEach(() => {
  environment = { XDG_CONFIG_HOME: mkdtempSync(join(tmpdir(), 'plinth-contexts-')) };
});
afterEach(() => rmSync(environment['XDG_CONFIG_HOME'] ?? '', { recursive: true }));

it('has none where there is no file', () => {
  expect(readContexts(contextsFile(environment))).toEqual({ contexts: {} });
  expect([currentContext(environment), askedContext(environment)]).toEqual([undefined, undefined]);
  expect(presetTenant(environment)).toBe('default');
});

it('is stored for its owner only, and read again', () => {
  writeContexts(BOTH, contextsFile(environment));
  expect(statSync(contextsFile(environment)).mode & 0o777).toBe(0o600);
  expect(currentContext(environment)).toEqual(EAST);
  expect(presetTenant(environment)).toBe('acme');
  expect(presetTenant({ ...environment, PLINTH_CONTEXT: 'west' })).toBe('default');
  expect(askedContext({ ...environment, PLINTH_CONTEXT: 'west' })).toEqual({ server: 'nats://west:4222' });
});

it.each(['north', 'constructor'])('names those that are known when %s is not', (name) => {
  writeContexts(BOTH, contextsFile(environment));
  expect(() => askedContext({ ...environment, PLINTH_CONTEXT: name })).toThrow(/no context .*known: east, west/);
});

it.each(['', '{', 'null', '{"contexts":{"a":{}}}', '{"contexts":{"a":null}}'])('refuses a file with %j', (text) => {
  writeContexts(BOTH, contextsFile(environment));
  writeFileSync(contextsFile(environment), text);
  expect(() => readContexts(contextsFile(environment))).toThrow(/contexts\.json can't be read/);
});
