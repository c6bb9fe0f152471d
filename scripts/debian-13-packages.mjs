/**
 * `node scripts/debian-13-packages.mjs DIRECTORY PACKAGE…`: packages of Debian 13, unpacked below the directory and not
 * installed. Lists, sources and cache of apt are in the directory too, so that nothing of this machine's changes; the
 * archive's signature is checked with the Debian keyring. Prints where the files are. For tests with programs that are
 * newer than this machine's, such as nats-server 2.10.27 for streams with three replicas.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const MIRROR = process.env['PLINTH_DEBIAN_MIRROR'] ?? 'http://deb.debian.org/debian';
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

const [directory, ...packages] = process.argv.slice(2);
if (directory === undefined || packages.length === 0) {
  process.stderr.write('usage: node scripts/debian-13-packages.mjs DIRECTORY PACKAGE…\n');
  process.exit(2);
}
const top = resolve(directory);
const root = join(top, 'root');
if (!existsSync(root)) {
  const apt = join(top, 'apt');
  for (const part of ['lists/partial', 'cache/archives/partial', 'etc', 'packages', 'root.new'])
    mkdirSync(part === 'root.new' ? join(top, part) : join(apt, part), { recursive: true });
  writeFileSync(join(apt, 'etc/sources.list'), `deb [signed-by=${KEYRING}] ${MIRROR} trixie main\n`);
  writeFileSync(join(apt, 'status'), '');
  const options = [
    ['Dir::Etc::sourcelist', join(apt, 'etc/sources.list')],
    ['Dir::Etc::sourceparts', '/dev/null'],
    ['Dir::Etc::preferencesparts', '/dev/null'],
    ['Dir::State', apt],
    ['Dir::State::lists', join(apt, 'lists')],
    ['Dir::State::status', join(apt, 'status')],
    ['Dir::Cache', join(apt, 'cache')],
    ['APT::Sandbox::User', 'root'],
    ['Acquire::Languages', 'none'],
  ].flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  const run = (file, args, cwd = top) => execFileSync(file, args, { cwd, stdio: ['ignore', 'ignore', 'inherit'] });
  run('apt-get', [...options, '-q', 'update']);
  run('apt-get', [...options, '-q', 'download', ...packages], join(apt, 'packages'));
  for (const file of readdirSync(join(apt, 'packages')))
    run('dpkg-deb', ['--extract', join(apt, 'packages', file), join(top, 'root.new')]);
  // Whole or not there: the next call takes it for what was asked for.
  renameSync(join(top, 'root.new'), root);
  rmSync(apt, { recursive: true });
}
process.stdout.write(`${root}\n`);
