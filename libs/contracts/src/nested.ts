/**
 * Decorators for fields that hold other contract classes, or null; the classes are recorded here for the JSON Schemas.
 */
import { Type } from 'class-transformer';
import { IsArray, IsObject, IsOptional, ValidateNested } from 'class-validator';

type Class = new () => object;

const nested = new Map<object, Map<string, () => Class>>();
const nullable = new Map<object, Set<string>>();

function record(target: object, property: string | symbol, type: () => Class): void {
  const ofClass = nested.get(target.constructor) ?? new Map<string, () => Class>();
  nested.set(target.constructor, ofClass.set(String(property), type));
}

/** The field holds one object of the class. */
export function Nested(type: () => Class): PropertyDecorator {
  return (target, property) => {
    record(target, property, type);
    Type(type)(target, property);
    ValidateNested()(target, property);
    IsObject()(target, property);
  };
}

/** The field holds a list of objects of the class. */
export function NestedEach(type: () => Class): PropertyDecorator {
  return (target, property) => {
    record(target, property, type);
    Type(type)(target, property);
    ValidateNested({ each: true })(target, property);
    IsArray()(target, property);
  };
}

/** The field is published as null when it has no value; on the way in, absent means the same. */
export function IsNullable(): PropertyDecorator {
  return (target, property) => {
    const ofClass = nullable.get(target.constructor) ?? new Set<string>();
    nullable.set(target.constructor, ofClass.add(String(property)));
    IsOptional()(target, property);
  };
}

function* lineage(target: unknown): Iterable<object> {
  for (let at = target; typeof at === 'function'; at = Object.getPrototypeOf(at) as unknown) yield at;
}

/** The class of a field that holds others; undefined for every other field. */
export function nestedType(target: unknown, property: string): (() => Class) | undefined {
  for (const owner of lineage(target)) {
    const type = nested.get(owner)?.get(property);
    if (type) return type;
  }
  return undefined;
}

export function nullableFields(target: unknown): ReadonlySet<string> {
  return new Set([...lineage(target)].flatMap((owner) => [...(nullable.get(owner) ?? [])]));
}

/** Every class that holds others, is held, or has fields that may be null. */
export function contractClasses(): readonly Class[] {
  const held = [...nested.values()].flatMap((fields) => [...fields.values()].map((type) => type()));
  return [...(nested.keys() as Iterable<Class>), ...(nullable.keys() as Iterable<Class>), ...held];
}

/** A class of contracts as {@link withNulls} goes through it; looked up once. */
const shapes = new Map<unknown, { readonly nulls: readonly string[]; readonly held: readonly [string, Class][] }>();

function shapeOf(target: Class): { readonly nulls: readonly string[]; readonly held: readonly [string, Class][] } {
  const known = shapes.get(target);
  if (known) return known;
  const held = [...lineage(target)].flatMap((owner) =>
    [...(nested.get(owner) ?? [])].map(([field, type]): [string, Class] => [field, type()]),
  );
  const shape = { nulls: [...nullableFields(target)], held };
  shapes.set(target, shape);
  return shape;
}

/** Decoding leaves out fields without a value: this puts null there again, as it was published. Changes the value. */
export function withNulls<T extends object>(target: new () => T, value: T): T {
  const fields = value as Record<string, unknown>;
  const { nulls, held } = shapeOf(target as Class);
  for (const field of nulls) fields[field] ??= null;
  for (const [field, type] of held) {
    const inner = fields[field];
    for (const item of Array.isArray(inner) ? (inner as unknown[]) : [inner])
      if (typeof item === 'object' && item !== null) withNulls(type, item);
  }
  return value;
}
