/** Decodes untrusted bytes into a checked contract class: the one place where payloads are validated. */
import { plainToInstance } from 'class-transformer';
import { validateSync, type ValidationError } from 'class-validator';
import type { Reply, UnknownFields } from './contract.js';
import type { Problem } from './problem.js';
import { keepValidationPlans } from './validation-plans.js';

keepValidationPlans();

export type Decoded<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problems: Problem[] };

const MAX_PROBLEMS = 50;
const MAX_DEPTH = 32;
const UTF8 = new TextDecoder('utf-8', { fatal: true });

/**
 * Parses and validates; every broken field is named at once.
 * Refuses what is not UTF-8, not JSON, not an object, nested deeper than 32, or has unknown fields unless they are
 * ignored.
 */
export function decodePayload<T extends object>(
  payload: new () => T,
  body: Uint8Array,
  unknownFields: UnknownFields = 'refused',
): Decoded<T> {
  const parsed = parseBody(body);
  return parsed.ok ? check(payload, parsed.value, unknownFields) : parsed;
}

/** JSON whose values nobody has checked. */
export function parseBody(
  body: Uint8Array,
): { readonly ok: true; readonly value: unknown } | Extract<Decoded<object>, { ok: false }> {
  try {
    return { ok: true, value: JSON.parse(UTF8.decode(body)) };
  } catch (error) {
    return fail('', error instanceof SyntaxError ? `not JSON: ${error.message.slice(0, 200)}` : 'not UTF-8');
  }
}

/** The `data` of an answer to a query, which may be a bare list. */
export function decodeReply<R>(reply: Reply<R>, data: unknown): Decoded<R> {
  if (!reply.isList) return check(reply.item, data) as Decoded<R>;
  if (!Array.isArray(data)) return fail('', 'must be a list');
  const items = data.map((item) => check(reply.item, item));
  const broken = items.find((item) => !item.ok);
  return (broken ?? { ok: true, value: items.map((item) => (item.ok ? item.value : item)) }) as Decoded<R>;
}

/** Of what was parsed. */
export function check<T extends object>(
  payload: new () => T,
  parsed: unknown,
  unknownFields: UnknownFields = 'refused',
): Decoded<T> {
  if (parsed === null || typeof parsed !== 'object' || Array.isArray(parsed)) return fail('', 'must be a JSON object');
  const unsafe = unsafeShape(parsed);
  if (unsafe) return fail('', unsafe);
  dropNulls(parsed);
  const value = plainToInstance(payload, parsed);
  const errors = validateSync(value, {
    whitelist: true,
    forbidNonWhitelisted: unknownFields === 'refused',
    forbidUnknownValues: true,
    stopAtFirstError: false,
  });
  if (errors.length === 0) return { ok: true, value };
  const problems = errors.flatMap((error) => flatten(error, '')).slice(0, MAX_PROBLEMS);
  return { ok: false, problems };
}

function fail(path: string, message: string): { ok: false; problems: Problem[] } {
  return { ok: false, problems: [{ path, message }] };
}

/** Depth and prototype keys, checked without recursion: a hostile body may be nested deeper than the stack. */
function unsafeShape(root: object): string | undefined {
  const queue: { value: object; depth: number }[] = [{ value: root, depth: 1 }];
  for (let item = queue.pop(); item; item = queue.pop()) {
    if (item.depth > MAX_DEPTH) return `nested deeper than ${MAX_DEPTH} levels`;
    for (const [key, value] of Object.entries(item.value)) {
      if (key === '__proto__' || key === 'constructor' || key === 'prototype') return `has the forbidden key ${key}`;
      if (value !== null && typeof value === 'object') queue.push({ value, depth: item.depth + 1 });
    }
  }
  return undefined;
}

/** A field that is null means the same as an absent one; only called on a shape that is known to be shallow. */
function dropNulls(object: object): void {
  for (const [key, value] of Object.entries(object)) {
    if (value === null) Reflect.deleteProperty(object, key);
    else if (typeof value === 'object' && !Array.isArray(value)) dropNulls(value as object);
  }
}

function flatten(error: ValidationError, parent: string): Problem[] {
  const path = /^\d+$/.test(error.property)
    ? `${parent}[${error.property}]`
    : parent
      ? `${parent}.${error.property}`
      : error.property;
  const own = Object.values(error.constraints ?? {}).map((message) => ({
    path: path.slice(0, 300),
    message: message.slice(0, 500),
  }));
  return [...own, ...(error.children ?? []).flatMap((child) => flatten(child, path))];
}
