/** A large database out of copies of real rows. */

export type Query = (text: string) => Promise<unknown>;

/**
 * Inserts copies of rows of a table.
 * @param from rows that are copied, as `t`, and `n` for each copy: the rest of a FROM clause
 * @param own expressions of columns that differ from copy to copy, with `t` and `n`
 */
export async function copyRows(
  query: Query,
  table: string,
  from: string,
  own: Readonly<Record<string, string>>,
): Promise<void> {
  const found = (await query(
    `SELECT column_name AS name FROM information_schema.columns
      WHERE table_schema = 'provisioner' AND table_name = '${table}' AND is_identity = 'NO'
      ORDER BY ordinal_position`,
  )) as { rows: { name: string }[] };
  const names = found.rows.map(({ name }) => name);
  const values = names.map((name) => own[name] ?? `t.${name}`);
  await query(
    `INSERT INTO ${table} (${names.join(', ')}) SELECT ${values.join(', ')} FROM ${table} t, ${from} ON CONFLICT DO NOTHING`,
  );
}
