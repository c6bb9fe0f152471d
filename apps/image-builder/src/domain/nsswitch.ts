/** nsswitch.conf(5) with some of its databases answered by other sources. */

/** Lines of databases that are not named stay as they are; new ones are added at the end. */
export function mergeNsswitch(current: string, databases: Readonly<Record<string, readonly string[]>>): string {
  const open = new Map(Object.entries(databases));
  const lines = current.split('\n').map((line) => {
    const database = /^\s*([a-z_]+):/.exec(line)?.[1];
    const sources = database === undefined ? undefined : open.get(database);
    if (database === undefined || sources === undefined) return line;
    open.delete(database);
    return lineOf(database, sources);
  });
  while (lines.at(-1) === '') lines.pop();
  return `${[...lines, ...[...open].map(([database, sources]) => lineOf(database, sources))].join('\n')}\n`;
}

function lineOf(database: string, sources: readonly string[]): string {
  return `${`${database}:`.padEnd(16)}${sources.join(' ')}`;
}
