/** Keeps a record of a run in which an invariant did not hold, so that it can be explained after the stack is gone. */
import { copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import type { Stack } from '../stack.js';

/** Tables that show what the provisioner decided, and in which order. */
const TABLES = ['containers', 'container_history', 'outbox', 'outbox_events', 'inbox', 'given_up', 'hosts'];

/**
 * Keeps the harness's journal, every fact, the provisioner's tables, the services' logs, and the state that each agent
 * keeps of its containers.
 * @param directory is created
 */
export async function keepRecord(stack: Stack, directory: string, violations: readonly string[]): Promise<void> {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  writeFileSync(join(directory, 'violations.txt'), violations.map((line) => `${line}\n`).join(''));
  const journal = join(stack.home, 'chaos.jsonl');
  if (existsSync(journal)) copyFileSync(journal, join(directory, 'journal.jsonl'));
  writeFileSync(join(directory, 'facts.jsonl'), (await stack.plinth('events', '--since', '12h', '--json')).stdout);
  cpSync(join(stack.home, 'logs'), join(directory, 'logs'), { recursive: true });
  for (const host of readdirSync(join(stack.home, 'hosts'))) {
    for (const part of ['containers', 'guard.log', 'lease.json', 'reports', 'runtime/logs', 'runtime/exits']) {
      const from = join(stack.home, 'hosts', host, part);
      if (existsSync(from)) cpSync(from, join(directory, 'hosts', host, part), { recursive: true });
    }
  }
  await keepTables(stack, directory);
}

async function keepTables(stack: Stack, directory: string): Promise<void> {
  const client = new pg.Client({ connectionString: stack.file().databaseUrl });
  await client.connect();
  try {
    for (const table of TABLES) {
      const { rows } = await client.query<{ row: string }>(
        `SELECT row_to_json(t)::text AS row FROM provisioner.${table} t`,
      );
      writeFileSync(join(directory, `${table}.jsonl`), rows.map(({ row }) => `${row}\n`).join(''));
    }
  } finally {
    await client.end();
  }
}
