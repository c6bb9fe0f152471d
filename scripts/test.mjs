// `npm test`: sets up what is missing, checks, tests, and checks that nothing is left. Node's own modules only: it runs
// before `npm ci`.
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const top = resolve(dirname(fileURLToPath(import.meta.url)), '..');
/** One file more than there are processors: each waits for other programs nearly half of its time. */
const WORKERS = Number(process.env['PLINTH_TEST_WORKERS'] ?? availableParallelism() + 1);
/** A guard or a server ends a moment after the test that began it. */
const END_PATIENCE_MS = 15_000;
/** Most that the tests' files may take; their memory is taken as they are written. */
const DISK_BYTES = 16 * 1024 ** 3;
const MEMORY_FOR_DISK_BYTES = 12 * 1024 ** 3;

if (process.getuid() !== 0) {
  console.error('the tests need root: they mount and start real containers');
  process.exit(1);
}
// The id is in a path or the environment of all that the run begins: this distinguishes what it leaves from what other
// runs do meanwhile.
const runId = randomBytes(6).toString('hex');
const disk = join(tmpdir(), `plinth-${runId}`);
// Below the mount point, so that the id is also in the path within the file system, which mountinfo shows of a mount.
const scratch = join(disk, runId);
const results = join(tmpdir(), `plinth-results-${process.pid}`);
// The user that reaches a server's data below is not root.
mkdirSync(disk, { mode: 0o711 });
const isInMemory = mountDisk();
mkdirSync(scratch, { mode: 0o711 });
mkdirSync(results);
const keptCache = process.env['PLINTH_TEST_CACHE'] ?? join(tmpdir(), 'plinth-test-cache');
// Tests make hard links to what is in it, so it is on the same file system.
const cache = isInMemory ? join(disk, 'cache') : keptCache;
if (isInMemory) copyMissing(keptCache, cache);
const environment = {
  ...process.env,
  PLINTH_TEST_RUN: runId,
  TMPDIR: scratch,
  PLINTH_TEST_CACHE: cache,
  // By the set-up: see scripts/test-build.mjs.
  PLINTH_TEST_BUILT: '1',
};

const steps = [];
let stopped = false;
const children = new Set();
for (const signal of ['SIGINT', 'SIGTERM'])
  process.on(signal, () => {
    stopped = true;
    // With their children: jest alone would leave the files that are running.
    for (const { pid } of children) if (pid) process.kill(-pid, 'SIGTERM');
  });

/**
 * A file system in memory: `fsync` and `syncfs` wait for all that is written on the machine's disk, builds of whole
 * systems beside them included, and a slow disk makes minutes of it. It is ext4, as on a real host, because a tmpfs
 * has no idmapped mounts before Linux 6.3.
 * @returns whether it is mounted; otherwise the tests use the disk
 */
function mountDisk() {
  const place = process.env['PLINTH_TEST_DISK'] ?? '';
  const available = Number(/^MemAvailable:\s+(\d+)/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1] ?? 0) * 1024;
  if (place === 'disk' || available < MEMORY_FOR_DISK_BYTES) {
    console.log(`the tests write to the disk (${place === 'disk' ? 'PLINTH_TEST_DISK' : 'too little memory'})`);
    return false;
  }
  const file = join(disk, 'file-system');
  const run = (...argv) => spawnSync(argv[0], argv.slice(1), { encoding: 'utf8' });
  const tries = [
    ['mount', '-t', 'tmpfs', '-o', `size=${DISK_BYTES},mode=700`, `plinth-${runId}`, disk],
    ['truncate', `--size=${DISK_BYTES}`, file],
    ['mkfs.ext4', '-q', '-F', '-m', '0', file],
    // What is deleted is memory again: `discard`.
    ['mount', '-o', 'loop,discard,noatime', file, disk],
  ];
  const failed = tries.map((argv) => ({ argv, ...run(...argv) })).find(({ status }) => status !== 0);
  if (!failed) {
    chmodSync(disk, 0o711);
    return true;
  }
  console.log(`the tests write to the disk: ${failed.argv[0]}: ${failed.error?.message ?? failed.stderr.trim()}`);
  unmountDisk();
  return false;
}

/** Copies the trees of one cache that another does not have; a tree appears whole. */
function copyMissing(from, to) {
  mkdirSync(to, { recursive: true });
  const trees = existsSync(from) ? readdirSync(from).filter((name) => name.startsWith('debian-')) : [];
  for (const name of trees.filter((tree) => !existsSync(join(to, tree)))) {
    const staging = join(to, `copying-${name}-${process.pid}`);
    const { status, stderr } = spawnSync('cp', ['--archive', join(from, name), staging], { encoding: 'utf8' });
    if (status !== 0) throw new Error(`${join(from, name)} can not be copied: ${stderr.trim()}`);
    renameSync(staging, join(to, name));
  }
}

/** Unmounts both layers, if they are there; the memory is free when the last file is closed. */
function unmountDisk() {
  for (let layers = 2; layers > 0 && isMountPoint(disk); layers--)
    spawnSync('umount', ['--lazy', disk], { stdio: 'inherit' });
}

function isMountPoint(path) {
  return mountTargets().includes(path);
}

function mountTargets() {
  return readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '');
}

/**
 * @param count what of it counts as cases; absent: it is one
 * @param isBeside another step runs meanwhile: what this one prints is shown when it ends
 * @param lastOutput file that the program writes when its work is done; it has {@link END_PATIENCE_MS} to end then
 */
async function step(name, argv, { count, isBeside = false, lastOutput } = {}) {
  if (stopped) return false;
  const begin = Date.now();
  const log = isBeside ? join(results, `${name}.log`) : undefined;
  const output = log === undefined ? 'inherit' : openSync(log, 'w');
  if (!isBeside) console.log(`\n=== ${name}`);
  const [file, ...args] = argv;
  const child = spawn(file, args, { cwd: top, stdio: ['ignore', output, output], env: environment, detached: true });
  children.add(child);
  const watch = lastOutput === undefined ? undefined : setInterval(() => endIfDone(child, lastOutput), 1_000);
  const ok = await new Promise((done) => {
    child.once('error', (error) => {
      console.error(error.message);
      done(false);
    });
    child.once('exit', (code) => done(code === 0));
  });
  clearInterval(watch);
  children.delete(child);
  if (log !== undefined) {
    closeSync(output);
    console.log(`\n=== ${name}\n${readFileSync(log, 'utf8').trim()}`);
  }
  finish(name, ok, begin, count?.(), log);
  return ok;
}

/** A process that a failed test has left keeps jest waiting without end for what it prints. */
function endIfDone(child, lastOutput) {
  const written = statSync(lastOutput, { throwIfNoEntry: false })?.mtimeMs;
  if (written === undefined || Date.now() - written < END_PATIENCE_MS || child.exitCode !== null) return;
  console.log('it does not end after its last test, because a test has left a process or a timer: it is killed');
  process.kill(-child.pid, 'SIGKILL');
}

function finish(name, ok, begin, cases, log) {
  const seconds = Math.round((Date.now() - begin) / 1000);
  const { passed, failed } = cases ?? { passed: ok ? 1 : 0, failed: ok ? 0 : 1 };
  // A failure that no case shows (a file that does not load) is one too.
  steps.push({ name, seconds, passed, failed: ok ? failed : Math.max(1, failed), log });
  console.log(`=== ${name}: ${ok ? 'passed' : 'FAILED'} (${seconds} s)`);
}

/** One run of jest; afterwards prints how long each file took. */
function jest(name, options, isBeside) {
  const output = join(results, `${name.replaceAll(' ', '-')}.json`);
  const argv = [
    process.execPath,
    '--experimental-vm-modules',
    '--no-warnings',
    'node_modules/jest/bin/jest.js',
    ...options,
    '--json',
    `--outputFile=${output}`,
  ];
  const count = () => {
    if (!existsSync(output)) return { passed: 0, failed: 1 };
    const found = JSON.parse(readFileSync(output, 'utf8'));
    const files = found.testResults.map((file) => ({
      path: relative(top, file.name),
      seconds: (file.endTime - file.startTime) / 1000,
    }));
    for (const { path, seconds } of files.filter(({ seconds }) => seconds >= 5).sort((a, b) => b.seconds - a.seconds))
      console.log(`${seconds.toFixed(0).padStart(5)} s  ${path}`);
    if (!isBeside && process.env['PLINTH_TEST_RECORD'] !== undefined) recordSeconds(files);
    return { passed: found.numPassedTests, failed: found.numFailedTests + found.numRuntimeErrorTestSuites };
  };
  return step(name, argv, { count, isBeside, lastOutput: output });
}

/** For the order of the files in later runs: scripts/test-order.mjs. */
function recordSeconds(files) {
  const long = files.filter(({ seconds }) => seconds >= 5).sort((a, b) => b.seconds - a.seconds);
  const record = Object.fromEntries(long.map(({ path, seconds }) => [path, Math.round(seconds)]));
  writeFileSync(join(top, 'scripts/test-seconds.json'), `${JSON.stringify(record, undefined, 2)}\n`);
}

/** Pure code and the sources; the tests on real servers wait often enough to leave room for both. */
async function checkAndUnits() {
  await step('check', ['npm', 'run', '--silent', 'check'], { isBeside: true });
  await jest('unit', ['--config=jest.unit.config.js', '--runInBand'], true);
}

/** Tests that are cut off do not end what they have begun: services, servers, containers, mounts. */
async function endWhatItBegan({ processesOfRun, readMachineState }) {
  for (const end = Date.now() + END_PATIENCE_MS; Date.now() < end; await new Promise((done) => setTimeout(done, 200))) {
    const { ours } = processesOfRun(runId, readMachineState([]), process.pid);
    if (ours.size === 0) break;
    for (const pid of ours)
      try {
        process.kill(pid, 'SIGKILL');
      } catch (error) {
        if (error.code !== 'ESRCH') throw error;
      }
  }
  const isBelow = (path) => path.startsWith(`${scratch}/`);
  for (const target of mountTargets().filter(isBelow).reverse())
    spawnSync('umount', ['--lazy', target], { stdio: 'inherit' });
  // What is still mounted is listed as left, never deleted.
  if (!mountTargets().some(isBelow)) rmSync(scratch, { recursive: true, force: true });
}

async function nothingIsLeft({ findRunLeftovers, readMachineState }, before) {
  const begin = Date.now();
  const look = () =>
    findRunLeftovers(runId, before, readMachineState([scratch, cache]), process.pid).filter(
      // The run's own: they go last.
      (line) => line !== `mount ${disk}` && !new RegExp(`^file ${cache}/(?:lock|(?:debian|postgres)-.*)$`).test(line),
    );
  let left = look();
  for (const end = Date.now() + END_PATIENCE_MS; left.length > 0 && Date.now() < end; left = look())
    await new Promise((done) => setTimeout(done, 500));
  console.log('\n=== nothing is left');
  for (const line of left) console.log(`left: ${line}`);
  finish('nothing is left', left.length === 0, begin);
  if (left.length === 0) removeScratch();
  else {
    console.log(`all of it has ${runId} in its command line, environment or path, or is new`);
    if (isInMemory)
      console.log(`to free the memory of its files: umount --lazy ${disk}; umount ${disk}; rmdir ${disk}`);
  }
}

function removeScratch() {
  rmSync(scratch, { recursive: true, force: true });
  if (isInMemory) {
    copyMissing(cache, keptCache);
    unmountDisk();
  }
  rmdirSync(disk);
}

const lookout = `${top}/libs/testkit/dist/leftovers.js`;
const ready = (await step('set-up', ['./plinth', 'setup', '--tests'])) && existsSync(lookout);
if (ready) {
  const leftovers = await import(lookout);
  const before = leftovers.readMachineState([]);
  const selected = ['--selectProjects', 'integration', 'e2e', `--maxWorkers=${WORKERS}`];
  await Promise.all([checkAndUnits(), jest('integration and end to end', selected, false)]);
  if (stopped) await endWhatItBegan(leftovers);
  await nothingIsLeft(leftovers, before);
} else removeScratch();

// The rest of the run has been printed since.
for (const { name, failed, log } of steps)
  if (failed > 0 && log !== undefined) console.log(`\n=== ${name}: FAILED\n${readFileSync(log, 'utf8').trim()}`);
rmSync(results, { recursive: true, force: true });
console.log('');
for (const { name, seconds, failed } of steps)
  console.log(`${failed === 0 ? 'passed' : 'FAILED'}  ${name} (${seconds} s)`);
const sum = (what) => steps.reduce((total, item) => total + item[what], 0);
console.log(`${sum('passed')} passed, ${sum('failed')} failed`);
process.exit(sum('failed') === 0 && !stopped && ready ? 0 : 1);
