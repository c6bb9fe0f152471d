/**
 * `state:failed -tenant:acme shop`: which containers a person wants to see. Terms are joined by "and"; a term without
 * a field is looked for in name, id, tenant, image, host and message. The page and the API use the same. Pure.
 */
import type { ContainerStatus } from '@plinth/contracts';

export const FILTER_FIELDS = ['state', 'image', 'host', 'tenant', 'name', 'id', 'health', 'update', 'message'] as const;
export type FilterField = (typeof FILTER_FIELDS)[number];

export interface FilterTerm {
  /** Absent: any of the fields that people look at. */
  readonly field?: FilterField;
  /** In lower case. */
  readonly value: string;
  readonly not: boolean;
}

export type FilterRow = Pick<
  ContainerStatus,
  'id' | 'name' | 'tenant' | 'state' | 'host' | 'image' | 'health' | 'message' | 'update'
>;

const MAX_TERMS = 20;
/** A value with spaces is in double quotes. */
const TERM = /(-?)(?:([a-z]+):)?(?:"([^"]*)"|([^\s"]+))/g;

export function parseFilter(text: string): readonly FilterTerm[] {
  const terms: FilterTerm[] = [];
  for (const [, minus, name, quoted, plain] of text.matchAll(TERM)) {
    if (terms.length === MAX_TERMS) break;
    const field = FILTER_FIELDS.find((candidate) => candidate === name);
    const rest = (quoted ?? plain ?? '').toLowerCase();
    // `a:b` with an unknown field is a text that has a colon.
    const value = name !== undefined && field === undefined ? `${name}:${rest}` : rest;
    if (value !== '') terms.push({ ...(field === undefined ? {} : { field }), value, not: minus === '-' });
  }
  return terms;
}

export function fitsFilter(terms: readonly FilterTerm[], row: FilterRow): boolean {
  return terms.every((term) => fits(term, row) !== term.not);
}

function fits({ field, value }: FilterTerm, row: FilterRow): boolean {
  switch (field) {
    case undefined:
      return [row.name, row.id, row.tenant, row.image, row.host, row.message].some((text) => contains(text, value));
    case 'state':
    case 'tenant':
    case 'host':
    case 'health':
      return (row[field] ?? '-') === value;
    case 'update':
      return (row.update?.state ?? '-') === value;
    // A name is every version of it.
    case 'image':
      return row.image === value || (row.image ?? '-').split('@')[0] === value;
    case 'id':
      return row.id.startsWith(value);
    case 'name':
    case 'message':
      return contains(row[field], value);
  }
}

function contains(text: string | null | undefined, part: string): boolean {
  return text?.toLowerCase().includes(part) ?? false;
}
