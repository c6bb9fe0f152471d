/** Loaded into a provisioner before its program (`--import`): it leaves a profile of what it computed when it ends. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { Session } from 'node:inspector';
import { join } from 'node:path';

const directory = process.env['PLINTH_BENCH_PROFILE'];
if (directory !== undefined) {
  const session = new Session();
  session.connect();
  session.post('Profiler.enable');
  session.post('Profiler.start');
  process.once('exit', () => {
    // In this thread it answers at once.
    session.post('Profiler.stop', (error, result) => {
      if (error) throw error;
      mkdirSync(directory, { recursive: true });
      writeFileSync(join(directory, `provisioner-${process.pid}.cpuprofile`), JSON.stringify(result.profile));
    });
  });
}
