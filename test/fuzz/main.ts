/**
 * `npm run fuzz -- --seed S --messages N`: prints the count of each answer and the memory of the services; exit code 0
 * only without a violation.
 */
import { parseArgs } from 'node:util';
import { Stack } from '../stack.js';
import { runFuzz } from './harness.js';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
    messages: { type: 'string', default: '10000' },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
const [seed, messages] = [values.seed, values.messages].map(Number);
if (values.help || [seed, messages].some((value) => !Number.isInteger(value))) {
  process.stdout.write('usage: npm run fuzz -- [--seed N] [--messages 10000]\nthe same seed gives the same messages\n');
  process.exit(values.help ? 0 : 2);
}
const stack = new Stack();
const begin = performance.now();
let code = 1;
try {
  await stack.up();
  const result = await runFuzz({
    stack,
    seed: seed ?? 0,
    messages: messages ?? 0,
    onLine: (line) => process.stdout.write(`${line}\n`),
  });
  process.stdout.write('\nanswer                                             messages\n');
  for (const [answer, count] of Object.entries(result.answers).sort(([, a], [, b]) => b - a))
    process.stdout.write(`${answer.padEnd(50)} ${count}\n`);
  process.stdout.write('\nservice                          MiB before   after\n');
  for (const [id, [before, after]] of Object.entries(result.memory))
    process.stdout.write(`${id.padEnd(32)} ${before.toFixed(0).padStart(10)} ${after.toFixed(0).padStart(7)}\n`);
  for (const line of result.violations) process.stdout.write(`VIOLATION ${JSON.stringify(line)}\n`);
  process.stdout.write(
    `\n${messages} malformed, ${result.good} good, ${result.violations.length} violations, ` +
      `${((performance.now() - begin) / 1000).toFixed(0)} s; ` +
      `again with: npm run fuzz -- --seed ${seed} --messages ${messages}\n`,
  );
  code = result.violations.length === 0 ? 0 : 1;
} finally {
  await stack.down();
}
process.exit(code);
