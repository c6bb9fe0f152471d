import { describe, expect, it } from '@jest/globals';
import { IDLE_INIT, settingsOf, type SourceSettings } from './image-settings.js';
import type { Recipe } from './recipe.js';

const recipe = (changes: Partial<Recipe>): Recipe => ({
  ...{
    name: 'x',
    source: { kind: 'oci', path: '/x', ref: 'y' },
    packages: { add: [], remove: [] },
    files: [],
    run: [],
  },
  ...{ auth: { nsswitch: {}, pam: {} }, env: {}, tests: [] },
  ...changes,
});
const source: SourceSettings = {
  environment: { PATH: '/opt', A: 'source' },
  entrypoint: ['/entry'],
  command: ['serve'],
  workingDirectory: '/srv',
  user: 'web',
  stopSignal: 'SIGQUIT',
  exposedPorts: ['80/tcp'],
  privileges: 'setuid',
};

describe('settingsOf', () => {
  it("takes the source's settings", () => {
    expect(settingsOf(recipe({}), source)).toMatchObject({ ...source, timezone: 'UTC' });
  });

  it("prefers the recipe's settings", () => {
    const own = {
      env: { A: 'recipe' },
      workingDirectory: '/',
      user: 'root',
      stopSignal: 'SIGINT',
      exposedPorts: [],
      privileges: 'none' as const,
      timezone: 'Europe/Vienna',
    };
    expect(settingsOf(recipe(own), source)).toMatchObject({
      environment: { PATH: '/opt', A: 'recipe' },
      workingDirectory: undefined,
      user: 'root',
      stopSignal: 'SIGINT',
      exposedPorts: undefined,
      timezone: 'Europe/Vienna',
    });
  });

  it.each<[string, Partial<Recipe>, SourceSettings, readonly string[] | undefined, readonly string[]]>([
    ['nothing at all', {}, { environment: {} }, undefined, IDLE_INIT],
    ['only an entry point of the source', {}, { ...source, command: undefined }, ['/entry'], []],
    ['only a command of the source', {}, { ...source, entrypoint: undefined }, undefined, ['serve']],
    ['an empty command of the source', {}, { environment: {}, command: [] }, undefined, IDLE_INIT],
    ['another command: the entry point stays', { command: ['sh'] }, source, ['/entry'], ['sh']],
    ['another entry point: the command is dropped', { entrypoint: ['/mine'] }, source, ['/mine'], []],
    ['both', { entrypoint: ['/mine'], command: ['x'] }, source, ['/mine'], ['x']],
    ['no entry point: the command is dropped too', { entrypoint: [] }, source, undefined, IDLE_INIT],
    ['no entry point, and a command', { entrypoint: [], command: ['x'] }, source, undefined, ['x']],
  ])('with %s', (_, changes, from, entrypoint, command) => {
    const settings = settingsOf(recipe(changes), from);
    expect([settings.entrypoint, settings.command]).toEqual([entrypoint, command]);
  });
});
