/**
 * `npm test`: everything from an empty checkout: packages, build, checks, all tests, and nothing left behind.
 * Node.js built-ins only, because it runs before anything is installed. `npm test -- unit e2e` runs these steps alone.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as delay } from 'node:timers/promises';
import { newSince, takeInventory } from './leftovers.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const PACKAGES = ['nats-server', 'crun', 'runc', 'conmon', 'mmdebstrap', 'zstd', 'uidmap', 'iproute2', 'util-linux', 'tar'];
const POLICY = '/usr/sbin/policy-rc.d';
/** Processes get this long to end after the tests. */
const SETTLE_MS = 10_000;

/** @returns whether it succeeded */
function run(argv, env = {}) {
  const [file, ...args] = argv;
  const { status, error } = spawnSync(file, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'], env: { ...process.env, ...env } });
  if (error) process.stderr.write(`${file}: ${error.message}\n`);
  return status === 0;
}

function installDebianPackages() {
  const query = spawnSync('dpkg-query', ['-W', '-f=${Package} ${db:Status-Status}\n', ...PACKAGES], { encoding: 'utf8' });
  if (query.error) {
    process.stdout.write(`no Debian system: ${PACKAGES.join(', ')} are taken as installed\n`);
    return true;
  }
  const missing = PACKAGES.filter((name) => !query.stdout.split('\n').includes(`${name} installed`));
  if (missing.length === 0) return true;
  if (process.getuid() !== 0) {
    process.stderr.write(`missing: ${missing.join(' ')}; install them as root, or run the tests as root\n`);
    return false;
  }
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  // The packages bring system services that the tests do not want.
  const ownPolicy = !existsSync(POLICY);
  if (ownPolicy) writeFileSync(POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    run(['apt-get', 'update', '-q'], env);
    return run(['apt-get', 'install', '-y', '-q', '--no-install-recommends', ...missing], env);
  } finally {
    if (ownPolicy) rmSync(POLICY, { force: true });
  }
}

function installModules() {
  if (existsSync(join(root, 'node_modules', '.package-lock.json'))) return true;
  return run(['npm', 'ci', '--no-audit', '--no-fund']) || run(['npm', 'install', '--no-save', '--no-audit', '--no-fund']);
}

function jest(project) {
  const suffix = { unit: '.spec.ts', integration: '.int-spec.ts', e2e: '.e2e-spec.ts' }[project];
  const count = ['apps', 'libs', 'test'].flatMap((top) => readdirSync(join(root, top), { recursive: true })).filter((name) => !name.includes('node_modules') && name.endsWith(suffix)).length;
  if (count === 0) {
    process.stdout.write(`there are no ${project} tests\n`);
    return true;
  }
  // Real servers, mounts and containers share the machine: one file at a time.
  const serial = project === 'unit' ? [] : ['--runInBand'];
  const options = `${process.env.NODE_OPTIONS ?? ''} --experimental-vm-modules --no-warnings`.trim();
  return run([process.execPath, 'node_modules/jest/bin/jest.js', '--selectProjects', project, ...serial], { NODE_OPTIONS: options });
}

async function nothingLeft() {
  const deadline = performance.now() + SETTLE_MS;
  let left = newSince(before, takeInventory(root));
  while (left.length > 0 && performance.now() < deadline) {
    await delay(200);
    left = newSince(before, takeInventory(root));
  }
  for (const item of left) process.stderr.write(`left behind: ${item}\n`);
  return left.length === 0;
}

const before = takeInventory(root);
/** A step that `required` names stops everything after it when it fails. */
const STEPS = [
  { name: 'debian-packages', required: true, work: installDebianPackages },
  { name: 'npm-packages', required: true, work: installModules },
  { name: 'build', required: true, work: () => run([process.execPath, 'node_modules/typescript-7/bin/tsc', '-b']) },
  { name: 'check', work: () => run([process.execPath, 'scripts/check.mjs']) },
  { name: 'unit', work: () => jest('unit') },
  { name: 'integration', work: () => jest('integration') },
  { name: 'e2e', work: () => jest('e2e') },
  { name: 'nothing-left', work: nothingLeft },
];

const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !STEPS.some((step) => step.name === name));
if (unknown.length > 0) {
  process.stderr.write(`no such step: ${unknown.join(', ')}; there are ${STEPS.map((step) => step.name).join(', ')}\n`);
  process.exit(2);
}
const results = [];
for (const step of STEPS.filter(({ name }) => asked.length === 0 || asked.includes(name) || name === 'nothing-left')) {
  process.stdout.write(`\n=== ${step.name}\n`);
  const begin = performance.now();
  const passed = await step.work();
  results.push({ name: step.name, passed, seconds: (performance.now() - begin) / 1000 });
  if (!passed && step.required) break;
}
process.stdout.write('\n');
for (const { name, passed, seconds } of results) process.stdout.write(`${passed ? 'ok  ' : 'FAIL'}  ${name.padEnd(16)} ${seconds.toFixed(1)} s\n`);
process.exitCode = results.every(({ passed }) => passed) ? 0 : 1;
