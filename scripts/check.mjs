/** `npm run check`: linter, compiler, architecture. Node.js built-ins only; runs everything even when something fails. */
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const bin = (...path) => join(root, 'node_modules', ...path);
const failures = [];

function run(name, args, options = {}) {
  const result = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8', maxBuffer: 256 * 1024 ** 2, stdio: ['ignore', options.capture ? 'pipe' : 'inherit', 'inherit'] });
  const failed = result.error !== undefined || result.status !== 0;
  if (failed) failures.push(name);
  process.stdout.write(`${failed ? 'FAIL' : 'ok  '}  ${name}\n`);
  return result.stdout ?? '';
}

run('oxlint', [bin('oxlint', 'bin', 'oxlint'), '--type-aware']);
run('tsc', [bin('typescript-7', 'bin', 'tsc'), '-b']);
const report = run('dependency-cruiser', [bin('dependency-cruiser', 'bin', 'dependency-cruise.mjs'), '--output-type', 'json', 'apps', 'libs', 'test', 'bench'], { capture: true });
inspectArchitecture(report);

if (failures.length > 0) process.stderr.write(`check failed: ${failures.join(', ')}\n`);
process.exitCode = failures.length > 0 ? 1 : 0;

/** Rules that see no modules, or no import between packages, forbid nothing. */
function inspectArchitecture(json) {
  let modules = [];
  try {
    const { modules: found, summary } = JSON.parse(json);
    modules = found;
    for (const { rule, from, to } of summary.violations) process.stderr.write(`  ${rule.severity} ${rule.name}: ${from} -> ${to}\n`);
    if (summary.error > 0 && !failures.includes('dependency-cruiser')) failures.push('dependency-cruiser');
  } catch (error) {
    process.stderr.write(`  no report: ${error.message}\n`);
  }
  const own = modules.filter(({ source }) => /^(apps|libs)\/.*\.ts$/.test(source));
  const across = own.filter(({ source, dependencies }) => source.startsWith('apps/') && dependencies.some(({ resolved }) => resolved.startsWith('libs/') && resolved.endsWith('.ts')));
  process.stdout.write(`      ${own.length} modules, ${across.length} that import a library of ours\n`);
  if (own.length === 0 || across.length === 0) failures.push('dependency-cruiser saw no modules');
}
