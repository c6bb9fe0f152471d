/**
 * `npm run imports`: the rules of .dependency-cruiser.cjs, and whether they saw any module: rules without modules
 * forbid nothing.
 */
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const top = dirname(dirname(fileURLToPath(import.meta.url)));
const program = join(top, 'node_modules', 'dependency-cruiser', 'bin', 'dependency-cruise.mjs');
const result = spawnSync(process.execPath, [program, '--output-type', 'json', 'apps', 'libs', 'test', 'bench'], {
  cwd: top,
  encoding: 'utf8',
  maxBuffer: 256 * 1024 ** 2,
  stdio: ['ignore', 'pipe', 'inherit'],
});
if (result.error || !result.stdout.startsWith('{')) {
  process.stderr.write(`imports: no report: ${result.error?.message ?? result.stdout}\n`);
  process.exit(1);
}
const { modules, summary } = JSON.parse(result.stdout);
for (const { rule, from, to } of summary.violations)
  process.stderr.write(`${rule.severity} ${rule.name}: ${from} -> ${to}\n`);
const own = modules.filter(({ source }) => /^(apps|libs)\/.*\.ts$/.test(source));
const across = own.filter(
  ({ source, dependencies }) =>
    source.startsWith('apps/') && dependencies.some(({ resolved }) => /^libs\/.*\.ts$/.test(resolved)),
);
process.stdout.write(
  `imports: ${own.length} modules, ${across.length} of them import a library of ours, ${summary.error} errors\n`,
);
if (own.length === 0 || across.length === 0)
  process.stderr.write(
    'imports: the rules saw no modules, or no import of a library: look at .dependency-cruiser.cjs\n',
  );
process.exit(summary.error > 0 || result.status !== 0 || own.length === 0 || across.length === 0 ? 1 : 0);
