/**
 * Statements that the server keeps a plan of on each connection: to parse and plan a statement takes longer than to
 * carry it out for one request. For those that run with each decision, whose best plan does not depend on values.
 */
import { createHash } from 'node:crypto';
import type { EntityManager } from 'typeorm';

/** The part of a connection of `pg` that TypeORM hides. */
interface PreparingClient {
  query(statement: {
    readonly name: string;
    readonly text: string;
    readonly values: readonly unknown[];
  }): Promise<{ readonly rows: readonly unknown[] }>;
}

const names = new Map<string, string>();

/**
 * As `manager.query`, in the manager's transaction; without one as any statement.
 * @param text a constant: each text is kept on each connection
 * @returns the rows, also of an UPDATE or DELETE
 */
export async function queryPrepared<R>(
  manager: EntityManager,
  text: string,
  values: readonly unknown[],
): Promise<readonly R[]> {
  const runner = manager.queryRunner;
  if (!runner) return manager.query(text, [...values]);
  const client = (await runner.connect()) as PreparingClient;
  const { rows } = await client.query({ name: nameOf(text), text, values });
  return rows as readonly R[];
}

function nameOf(text: string): string {
  let name = names.get(text);
  if (name === undefined) names.set(text, (name = createHash('sha256').update(text).digest('hex').slice(0, 32)));
  return name;
}
