/** Reads untrusted mappings field by field and collects every problem with its path. */
import type { Problem } from '@plinth/contracts';
import { nearestKey } from './nearest-key.js';

const MAX_PROBLEMS = 200;

export class Problems {
  readonly list: Problem[] = [];

  add(path: string, message: string): undefined {
    if (this.list.length < MAX_PROBLEMS) this.list.push({ path: path.slice(0, 300), message: message.slice(0, 2000) });
    return undefined;
  }
}

/** A mapping whose keys are known; a field that is null counts as absent. */
export class Fields {
  private constructor(
    private readonly values: ReadonlyMap<string, unknown>,
    private readonly path: string,
    readonly problems: Problems,
  ) {}

  static read(value: unknown, path: string, known: readonly string[], problems: Problems): Fields | undefined {
    if (!(value instanceof Map)) return problems.add(path, 'must be a mapping');
    const values = new Map<string, unknown>();
    for (const [key, field] of value as Map<unknown, unknown>) {
      if (typeof key === 'string' && known.includes(key)) {
        if (field !== null) values.set(key, field);
        continue;
      }
      const word = String(key).slice(0, 80);
      const near = nearestKey(word, known);
      problems.add(
        join(path, word),
        `is not known here; ${near ? `did you mean ${near}?` : `known are ${known.join(', ')}`}`,
      );
    }
    return new Fields(values, path, problems);
  }

  at(key: string): string {
    return join(this.path, key);
  }

  has(key: string): boolean {
    return this.values.has(key);
  }

  raw(key: string): unknown {
    return this.values.get(key);
  }

  required(key: string): boolean {
    if (this.values.has(key)) return true;
    this.problems.add(this.at(key), 'is missing');
    return false;
  }

  text(key: string, accept: (text: string) => string | undefined = () => undefined): string | undefined {
    return this.has(key) ? textOf(this.raw(key), this.at(key), this.problems, accept) : undefined;
  }

  integer(key: string, least: number, most: number): number | undefined {
    if (!this.has(key)) return undefined;
    const value = this.raw(key);
    if (Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most) return value as number;
    return this.problems.add(this.at(key), `must be a whole number from ${least} to ${most}`);
  }

  flag(key: string): boolean | undefined {
    if (!this.has(key)) return undefined;
    const value = this.raw(key);
    return typeof value === 'boolean' ? value : this.problems.add(this.at(key), 'must be true or false');
  }

  /** The items that could be read; absent: an empty list. */
  list<T>(key: string, most: number, item: (value: unknown, path: string) => T | undefined): T[] {
    if (!this.has(key)) return [];
    return listOf(this.raw(key), this.at(key), most, this.problems, item);
  }

  /** A mapping with free keys. */
  entries(key: string, most: number): [string, unknown][] {
    if (!this.has(key)) return [];
    const value = this.raw(key);
    const path = this.at(key);
    if (!(value instanceof Map)) {
      this.problems.add(path, 'must be a mapping');
      return [];
    }
    if (value.size > most) {
      this.problems.add(path, `must have at most ${most} entries`);
      return [];
    }
    return [...(value as Map<unknown, unknown>)].flatMap(([name, field]): [string, unknown][] => {
      if (typeof name === 'string') return [[name, field]];
      this.problems.add(join(path, String(name).slice(0, 80)), 'the key must be text; put it in quotes');
      return [];
    });
  }
}

export function join(path: string, key: string): string {
  return path ? `${path}.${key}` : key;
}

/** @param accept what is wrong with the text, or undefined */
export function textOf(
  value: unknown,
  path: string,
  problems: Problems,
  accept: (text: string) => string | undefined,
): string | undefined {
  if (typeof value !== 'string')
    return problems.add(
      path,
      `must be text${typeof value === 'number' || typeof value === 'boolean' ? '; put it in quotes' : ''}`,
    );
  if (value.includes('\0')) return problems.add(path, 'must not hold NUL');
  const problem = accept(value);
  return problem === undefined ? value : problems.add(path, problem);
}

export function listOf<T>(
  value: unknown,
  path: string,
  most: number,
  problems: Problems,
  item: (value: unknown, path: string) => T | undefined,
): T[] {
  if (!Array.isArray(value)) {
    problems.add(path, 'must be a list');
    return [];
  }
  if (value.length > most) {
    problems.add(path, `must have at most ${most} items`);
    return [];
  }
  return value.flatMap((element: unknown, index): T[] => {
    const read = item(element, `${path}[${index}]`);
    return read === undefined ? [] : [read];
  });
}

export function matching(pattern: RegExp, message: string): (text: string) => string | undefined {
  return (text) => (pattern.test(text) ? undefined : message);
}

/** Words without NUL, the first not empty. */
export function readArgv(value: unknown, path: string, problems: Problems): readonly string[] | undefined {
  if (!Array.isArray(value)) return problems.add(path, 'must be text or a list of words');
  if (value.length === 0 || value[0] === '') return problems.add(path, 'must have a first word');
  const words = listOf(value, path, 256, problems, (word, at) =>
    textOf(word, at, problems, (text) => (text.length > 16_384 ? 'must be at most 16,384 characters' : undefined)),
  );
  return words.length === value.length ? words : undefined;
}
