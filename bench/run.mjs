/** `npm run bench:NAME -- [options]`: runs a compiled benchmark, or shows what it measures. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const [, , name = '', ...args] = process.argv;
if (/^[a-z-]+$/.test(name) && name !== 'fleet' && args.some((arg) => arg === '--help' || arg === '-h')) {
  // fleet has options enough for a text of its own.
  const source = readFileSync(join(import.meta.dirname, `${name}.ts`), 'utf8');
  const about = /^\/\*\*([^]*?)\*\//.exec(source)?.[1] ?? '';
  const lines = about.split('\n').map((line) => line.replace(/^ \*? ?/, '').trim());
  console.log(lines.join('\n').trim());
  const settings = [...source.matchAll(/process\.env\['(PLINTH_BENCH_\w+)'\] \?\? ([\d_]+)/g)];
  if (settings.length > 0) console.log('\nIn the environment, with their defaults:');
  for (const [, variable, value = ''] of settings) console.log(`  ${variable}=${value.replaceAll('_', '')}`);
  console.log('\nBuild first: npm run build');
} else {
  const program = join(import.meta.dirname, 'dist', `${name}.js`);
  // As if it had been started itself: one that enters a mount namespace of its own replaces itself by these arguments.
  process.argv.splice(1, 2, program);
  await import(program);
}
