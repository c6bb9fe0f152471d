import { describe, expect, it } from '@jest/globals';
import { readOciConfig } from './oci-image-config.js';

const NOTHING = { environment: {} };

describe('readOciConfig', () => {
  it('takes the settings of the config', () => {
    const config = {
      Entrypoint: ['/entry.sh'],
      Cmd: ['nginx', '-g', 'daemon off;'],
      Env: ['PATH=/opt/bin:/bin', 'EMPTY=', 'EQUALS=a=b'],
      WorkingDir: '/srv/app/',
      User: 'www-data:33',
      StopSignal: 'SIGQUIT',
      ExposedPorts: { '8080/tcp': {}, '53/udp': {}, '53/tcp': {}, '443': {} },
      Labels: { a: 'b' },
      Volumes: { '/data': {} },
    };
    expect(readOciConfig({ architecture: 'amd64', config })).toEqual({
      ok: true,
      notes: [],
      settings: {
        environment: { PATH: '/opt/bin:/bin', EMPTY: '', EQUALS: 'a=b' },
        entrypoint: ['/entry.sh'],
        command: ['nginx', '-g', 'daemon off;'],
        workingDirectory: '/srv/app',
        user: 'www-data:33',
        stopSignal: 'SIGQUIT',
        exposedPorts: ['53/tcp', '53/udp', '443/tcp', '8080/tcp'],
      },
    });
  });

  it.each<[string, unknown]>([
    ['no config', undefined],
    ['null', null],
    ['an empty one', {}],
    [
      'empty fields',
      { Entrypoint: [], Cmd: null, Env: null, WorkingDir: '', User: '', StopSignal: '', ExposedPorts: null },
    ],
    ['the root', { WorkingDir: '/' }],
  ])('takes %s as nothing', (_, config) => {
    expect(readOciConfig({ config })).toMatchObject({ ok: true, settings: NOTHING, notes: [] });
  });

  it.each([
    ['TERM', 'SIGTERM'],
    ['9', 'SIGKILL'],
    ['37', 'SIGRTMIN+3'],
    ['SIGRTMIN+3', 'SIGRTMIN+3'],
    ['sigint', 'SIGINT'],
  ])('reads the signal %s', (StopSignal, stopSignal) => {
    expect(readOciConfig({ config: { StopSignal } })).toMatchObject({ ok: true, settings: { stopSignal } });
  });

  it('leaves out a shell that waits for a terminal, unless an entry point gets it as a word', () => {
    for (const shell of ['bash', '/bin/sh'])
      expect(readOciConfig({ config: { Cmd: [shell] } })).toMatchObject({
        settings: { command: undefined },
        notes: [expect.stringContaining('is for a terminal')],
      });
    expect(readOciConfig({ config: { Cmd: ['bash'], Entrypoint: ['/x'] } })).toMatchObject({
      settings: { command: ['bash'] },
      notes: [],
    });
    expect(readOciConfig({ config: { Cmd: ['sh', '-c', 'serve'] } })).toMatchObject({
      settings: { command: ['sh', '-c', 'serve'] },
    });
  });

  it.each<[string, unknown, RegExp]>([
    ['a config that is text', 'x', /^config must be an object/],
    ['a config that is a list', [], /^config must be an object/],
    ['an entry point that is text', { Entrypoint: '/entry.sh' }, /^Entrypoint must be a list/],
    ['an entry point of numbers', { Entrypoint: [1] }, /^Entrypoint must be a list/],
    ['an entry point without a program', { Entrypoint: [''] }, /^Entrypoint must not begin/],
    ['a command with NUL', { Cmd: ['a\0b'] }, /^Cmd must be a list/],
    ['a command without end', { Cmd: Array.from({ length: 257 }, () => 'x') }, /^Cmd must be a list of at most 256/],
    ['a word without end', { Cmd: ['x'.repeat(20_000)] }, /^Cmd must be a list/],
    ['an environment that is an object', { Env: { A: 'b' } }, /^Env must be a list/],
    ['a variable without value', { Env: ['A'] }, /^Env must hold texts/],
    ['a variable without name', { Env: ['=b'] }, /^Env must hold texts/],
    ['a variable that is a number', { Env: [5] }, /^Env must hold texts/],
    ['a variable with a line break', { Env: ['A=b\nc'] }, /^Env variable A must not hold a line break/],
    ['a huge environment', { Env: [`A=${'x'.repeat(40_000)}`] }, /^Env must be at most/],
    [
      'too many variables',
      { Env: Array.from({ length: 300 }, (_, index) => `A${index}=b`) },
      /^Env must have at most 256/,
    ],
    ['a million variables', { Env: Array.from({ length: 1_000_000 }, () => 'A=b') }, /^Env must have at most 256/],
    ['a relative directory', { WorkingDir: 'srv' }, /^WorkingDir must be an absolute path/],
    ['a directory upwards', { WorkingDir: '/srv/../..' }, /^WorkingDir must be normal/],
    ['a directory that is a list', { WorkingDir: ['/'] }, /^WorkingDir must be text/],
    ['a user with a line break', { User: 'a\nb' }, /^User must be/],
    ['a user that is a number', { User: 33 }, /^User must be text/],
    ['a signal that is none', { StopSignal: 'SIGNOTHING' }, /^StopSignal "SIGNOTHING" is no signal/],
    ['a signal that stops nothing', { StopSignal: 'SIGSEGV' }, /^StopSignal/],
    ['a signal out of range', { StopSignal: '99' }, /^StopSignal/],
    ['ports that are a list', { ExposedPorts: ['80/tcp'] }, /^ExposedPorts must be an object/],
    ['a port that is none', { ExposedPorts: { '0/tcp': {} } }, /^ExposedPorts: "0\/tcp"/],
    ['a port out of range', { ExposedPorts: { '65536': {} } }, /^ExposedPorts/],
    ['a range of ports', { ExposedPorts: { '1-65535/tcp': {} } }, /^ExposedPorts/],
    ['an unknown protocol', { ExposedPorts: { '80/http': {} } }, /^ExposedPorts/],
    [
      'too many ports',
      { ExposedPorts: Object.fromEntries(Array.from({ length: 257 }, (_, index) => [`${index + 1}`, {}])) },
      /at most 256/,
    ],
  ])('refuses %s', (_, config, problem) => {
    expect(readOciConfig({ config })).toEqual({ ok: false, problem: expect.stringMatching(problem) });
  });
});
