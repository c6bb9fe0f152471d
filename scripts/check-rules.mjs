/**
 * `npm run check:rules`: checks and tests the rules of ops/prometheus/ with promtool. It is on the path, in
 * PLINTH_PROMTOOL, or in Debian's package `prometheus`, which is unpacked to node_modules/.cache: installed, it would
 * start a server.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';

const top = resolve(import.meta.dirname, '..');
const cache = join(top, 'node_modules/.cache/prometheus');
const unpacked = join(cache, 'usr/bin/promtool');

function run(argv, cwd) {
  const { status, error } = spawnSync(argv[0], argv.slice(1), { cwd, stdio: ['ignore', 'inherit', 'inherit'] });
  return error ? 127 : (status ?? 1);
}

function unpack() {
  mkdirSync(cache, { recursive: true });
  const got = run(['apt-get', '-q', 'download', 'prometheus'], cache);
  const file = readdirSync(cache).find((name) => name.endsWith('.deb'));
  if (got !== 0 || file === undefined || run(['dpkg-deb', '-x', file, '.'], cache) !== 0) {
    process.stderr.write('check:rules needs promtool: install it, or name it in PLINTH_PROMTOOL\n');
    process.exit(1);
  }
  return unpacked;
}

const onPath = (process.env.PATH ?? '').split(':').map((directory) => join(directory, 'promtool'));
const known = [process.env.PLINTH_PROMTOOL, unpacked, ...onPath].find((file) => file && existsSync(file));
const promtool = known ?? unpack();
const rules = join(top, 'ops/prometheus');
const files = readdirSync(rules).filter((name) => name.endsWith('.rules.yml'));
const checked = run([promtool, 'check', 'rules', ...files], rules);
const tested = run([promtool, 'test', 'rules', 'plinth-rules.test.yml'], rules);
process.exit(checked || tested);
