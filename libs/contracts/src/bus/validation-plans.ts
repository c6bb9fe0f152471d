/**
 * Which checks a contract class has, computed once. class-validator looks through the decorators of every class of the
 * process for each object that it validates, nested ones included; a class has its decorators from its definition on,
 * so what it found for the first object holds for all.
 */
import { getMetadataStorage } from 'class-validator';

type Storage = ReturnType<typeof getMetadataStorage>;
type Metadata = ReturnType<Storage['getTargetValidationMetadatas']>;
type ByProperty = ReturnType<Storage['groupByPropertyName']>;

const installed = new WeakSet<Storage>();

/** Of this process; again is nothing. */
export function keepValidationPlans(): void {
  const storage = getMetadataStorage();
  if (installed.has(storage)) return;
  installed.add(storage);
  const find = storage.getTargetValidationMetadatas.bind(storage);
  const group = storage.groupByPropertyName.bind(storage);
  // By class, and the class that it is a field of.
  const found = new Map<unknown, Map<string | undefined, Metadata>>();
  const grouped = new WeakMap<Metadata, ByProperty>();

  storage.getTargetValidationMetadatas = (target, schema, always, strictGroups, groups) => {
    // Contracts have no groups.
    if (groups !== undefined || always || strictGroups) return find(target, schema, always, strictGroups, groups);
    const known = found.get(target)?.get(schema);
    if (known) return known;
    const metadata = find(target, schema, always, strictGroups, groups);
    // What has no checks is no contract, and is refused.
    if (metadata.length === 0) return metadata;
    const ofClass = found.get(target) ?? new Map<string | undefined, Metadata>();
    found.set(target, ofClass.set(schema, metadata));
    return metadata;
  };
  storage.groupByPropertyName = (metadata) => {
    const known = grouped.get(metadata);
    if (known) return known;
    const plan = group(metadata);
    grouped.set(metadata, plan);
    return plan;
  };
}
