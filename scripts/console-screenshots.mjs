// `npm run console:screenshots [-- DIRECTORY]`: pictures of each view of the console, light and dark, wide and narrow,
// for a person to look at. They are kept outside the repository.
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const directory = resolve(process.argv[2] ?? join(tmpdir(), 'plinth-console-screenshots'));
const { status } = spawnSync(
  'npm',
  ['run', '--silent', 'test:int', '--', 'apps/console/src/.*(?:page|journeys).int-spec.ts'],
  {
    cwd: resolve(import.meta.dirname, '..'),
    stdio: 'inherit',
    env: { ...process.env, PLINTH_SCREENSHOTS: directory },
  },
);
process.stdout.write(`pictures: ${directory}\n`);
process.exit(status ?? 1);
