/** Processor time, memory and bytes of the processes of a run. */
import { readdirSync, readFileSync } from 'node:fs';
import { processCosts } from '../process-costs.js';

/** proc(5): USER_HZ. */
const TICKS_PER_SECOND = 100;

export interface Cost {
  readonly cpuSeconds: number;
  readonly residentBytes: number;
}

export function costOf(pid: number): Cost {
  const { cpuSeconds, residentBytes } = processCosts(pid);
  return { cpuSeconds, residentBytes };
}

/**
 * PostgreSQL: its first process, its present children, and those that have ended. Resident memory is without what they
 * share.
 */
export function costOfPostgres(pid: number): Cost {
  let { cpuSeconds, residentBytes } = costOf(pid);
  cpuSeconds += endedChildrenSeconds(pid);
  for (const child of childrenOf(pid)) {
    try {
      cpuSeconds += costOf(child).cpuSeconds;
      residentBytes += Number(/^RssAnon:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${child}/status`, 'utf8'))?.[1]) * 1024;
    } catch (error) {
      // It has ended since.
      if (!['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
  }
  return { cpuSeconds, residentBytes };
}

function fieldsOf(pid: number): readonly string[] {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

function endedChildrenSeconds(pid: number): number {
  const fields = fieldsOf(pid);
  return (Number(fields[13]) + Number(fields[14])) / TICKS_PER_SECOND;
}

function childrenOf(parent: number): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        return Number(fieldsOf(pid)[1]) === parent;
      } catch (error) {
        if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return false;
        throw error;
      }
    });
}

/** One text of a statement, since statements were forgotten. */
export interface Statement {
  readonly calls: number;
  /** In all, executing. */
  readonly ms: number;
  readonly rows: number;
  readonly text: string;
}

/** What took most of the database's time since statements were forgotten: milliseconds in all, how often, and rows. */
export async function printStatements(from: { statements(): Promise<readonly Statement[]> }): Promise<void> {
  for (const { calls, ms, rows, text } of await from.statements())
    process.stdout.write(`    ${ms.toFixed(0)} ms, ${calls} calls, ${rows} rows: ${text.slice(0, 160)}\n`);
}
