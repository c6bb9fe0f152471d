/**
 * `node scripts/scrape-targets.mjs [HOME]`: where the services of `plinth up` answer, as Prometheus' file_sd reads it
 * (JSON). HOME is PLINTH_HOME, else `.plinth`.
 */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const home = process.argv[2] ?? process.env.PLINTH_HOME ?? resolve(import.meta.dirname, '../.plinth');
const { services } = JSON.parse(readFileSync(join(home, 'stack.json'), 'utf8'));
const targets = services
  .filter(({ health }) => health?.endsWith('/health/ready'))
  .map(({ name, id, health }) => ({ targets: [new URL(health).host], labels: { service: name, instance: id } }));
process.stdout.write(`${JSON.stringify(targets, null, 2)}\n`);
