import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { endProcess, identify, isAlive, signalProcess } from './process-identity.js';

describe('process identity', () => {
  it('identifies this process, and does not take a later holder of the pid for it', () => {
    const self = identify(process.pid);
    expect(self && isAlive(self)).toBe(true);
    expect(isAlive({ pid: process.pid, startTime: '1' })).toBe(false);
    expect(signalProcess({ pid: process.pid, startTime: '1' }, 'SIGKILL')).toBe(false);
  });

  it('kills a process that ignores the signal', async () => {
    const child = spawn(
      process.execPath,
      ['-e', 'process.on("SIGTERM", () => {}); console.log("up"); setInterval(() => {}, 1000)'],
      { stdio: ['ignore', 'pipe', 'ignore'] },
    );
    await once(child.stdout, 'data');
    const identity = identify(child.pid ?? -1);
    if (!identity) throw new Error('not started');
    expect(await endProcess(identity, 'SIGTERM', 100)).toBe('killed');
    expect(await endProcess(identity, 'SIGTERM', 100)).toBe('gone');
  });
});
