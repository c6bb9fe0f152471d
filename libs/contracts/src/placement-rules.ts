/** Where a container may be placed: labels of hosts, what a container asks of them, and of the other containers of a group. */
import {
  ArrayMaxSize,
  ArrayMinSize,
  ArrayUnique,
  IsArray,
  IsBoolean,
  IsIn,
  IsOptional,
  Matches,
  ValidateBy,
  type ValidationOptions,
} from 'class-validator';
import { NAME_PATTERN, NAME_WORDS } from './values.js';

export const LABEL_KEY_PATTERN = /^[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?$/;
export const LABEL_VALUE_PATTERN = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;
export const LABEL_KEY_WORDS = '1 to 63 lower-case letters, digits, inner dots and hyphens';
export const LABEL_VALUE_WORDS = '1 to 63 letters, digits, inner dots, hyphens and underscores';
/** Of one host, also those that operators set. */
export const MAX_LABELS = 64;
export const MAX_CONSTRAINTS = 16;
const MAX_VALUES = 32;

/** Labels that every host has; nobody else sets them. `arch`: Debian's name of its architecture. */
export const WELL_KNOWN_LABELS = ['host', 'datacenter', 'arch'] as const;
/** Words that no object may have as a key on its way over the bus. */
const FORBIDDEN_KEYS: readonly string[] = ['constructor', 'prototype'];

export type Labels = Readonly<Record<string, string>>;

/** Why this is no label that may be set; undefined: it is one. */
export function labelProblem(key: string, value: string): string | undefined {
  if (!LABEL_KEY_PATTERN.test(key) || FORBIDDEN_KEYS.includes(key))
    return `${JSON.stringify(key.slice(0, 80))} is no key of a label: ${LABEL_KEY_WORDS}`;
  if ((WELL_KNOWN_LABELS as readonly string[]).includes(key)) return `every host has the label ${key} by itself`;
  if (!LABEL_VALUE_PATTERN.test(value))
    return `${JSON.stringify(value.slice(0, 80))} is no value of a label: ${LABEL_VALUE_WORDS}`;
  return undefined;
}

/** Reads `gpu=yes,rack=r1`; a text says what is wrong. */
export function parseLabels(text: string): Labels | string {
  const labels: Record<string, string> = {};
  for (const pair of text.split(',').filter((part) => part !== '')) {
    const equals = pair.indexOf('=');
    const key = equals < 0 ? pair : pair.slice(0, equals);
    const value = equals < 0 ? '' : pair.slice(equals + 1);
    const problem = equals < 0 ? `${pair} has no value; labels are written gpu=yes,rack=r1` : labelProblem(key, value);
    if (problem !== undefined) return problem;
    if (Object.hasOwn(labels, key)) return `the label ${key} is there twice`;
    labels[key] = value;
  }
  return Object.keys(labels).length > MAX_LABELS ? `there are more than ${MAX_LABELS} labels` : labels;
}

/** @param known whether labels that hosts have by themselves may be among them */
function labelsProblem(value: unknown, known: boolean): string | undefined {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return 'must be an object of strings';
  const entries = Object.entries(value);
  if (entries.length > MAX_LABELS) return `must have at most ${MAX_LABELS} labels`;
  for (const [key, text] of entries) {
    if (typeof text !== 'string') return `label ${key.slice(0, 80)} must be a string`;
    const problem =
      known && (WELL_KNOWN_LABELS as readonly string[]).includes(key)
        ? LABEL_VALUE_PATTERN.test(text)
          ? undefined
          : `label ${key} has a bad value`
        : labelProblem(key, text);
    if (problem !== undefined) return `must be labels: ${problem}`;
  }
  return undefined;
}

/** Labels by their keys. */
export function AreLabels(known = false, options?: ValidationOptions): PropertyDecorator {
  return ValidateBy(
    {
      name: 'areLabels',
      validator: {
        validate: (value: unknown) => labelsProblem(value, known) === undefined,
        defaultMessage: (args) => `${args?.property ?? 'labels'} ${labelsProblem(args?.value, known) ?? ''}`,
      },
    },
    options,
  );
}

export const CONSTRAINT_OPERATORS = ['in', 'not-in', 'exists', 'absent'] as const;
export type ConstraintOperator = (typeof CONSTRAINT_OPERATORS)[number];
const WITH_VALUES: readonly ConstraintOperator[] = ['in', 'not-in'];

/** What a label of the host has to be. A host without the label passes `not-in` and `absent`. */
export class LabelConstraint {
  /** A label; `host`, `datacenter` and `arch` are some, too. */
  @Matches(LABEL_KEY_PATTERN, { message: `key must be ${LABEL_KEY_WORDS}` })
  key!: string;

  @IsIn(CONSTRAINT_OPERATORS)
  @HasValuesAsNeeded()
  operator!: ConstraintOperator;

  /** With `in` and `not-in`: one of them; the others have none. */
  @IsOptional()
  @IsArray()
  @ArrayMinSize(1)
  @ArrayMaxSize(MAX_VALUES)
  @ArrayUnique()
  @Matches(LABEL_VALUE_PATTERN, { each: true, message: `each value must be ${LABEL_VALUE_WORDS}` })
  values?: string[];
}

function HasValuesAsNeeded(): PropertyDecorator {
  return ValidateBy({
    name: 'hasValuesAsNeeded',
    validator: {
      validate: (_operator: unknown, args) => {
        const { operator, values } = args?.object as LabelConstraint;
        return (values !== undefined) === WITH_VALUES.includes(operator);
      },
      defaultMessage: () => 'values are needed with in and not-in, and with them only',
    },
  });
}

/** `gpu in yes`, as people read it: `gpu=yes`, `rack!=r1,r2`, `ssd`, `!ssd`. */
export function constraintText({ key, operator, values = [] }: LabelConstraint): string {
  switch (operator) {
    case 'in':
      return `${key}=${values.join(',')}`;
    case 'not-in':
      return `${key}!=${values.join(',')}`;
    case 'exists':
      return key;
    case 'absent':
      return `!${key}`;
  }
}

/** Containers of a tenant that name the same group are placed with regard to each other. */
class GroupRule {
  /** Of the same tenant; absent: the container's own. */
  @IsOptional()
  @Matches(NAME_PATTERN, { message: `group must be ${NAME_WORDS}` })
  group?: string;

  /** The container is refused, or waits, where this can't be; absent: it is kept as far as there is room. */
  @IsOptional()
  @IsBoolean()
  isRequired?: boolean;
}

/** Evenly over the values of a label. */
export class SpreadRule extends GroupRule {
  /** `host`, `datacenter`, `rack` or any other label. */
  @Matches(LABEL_KEY_PATTERN, { message: `over must be ${LABEL_KEY_WORDS}` })
  over!: string;
}

/** Where containers of the group are, or where none of them is. */
export class AffinityRule extends GroupRule {
  /** Hosts with the same value of this label are the same place; absent: `host`. */
  @IsOptional()
  @Matches(LABEL_KEY_PATTERN, { message: `over must be ${LABEL_KEY_WORDS}` })
  over?: string;
}

/** What a container has to do with others of its tenant. */
export interface GroupRules {
  readonly group?: string;
  readonly spread?: SpreadRule;
  readonly affinity?: AffinityRule;
  readonly antiAffinity?: AffinityRule;
}

/** A rule that names no group is about the container's own. */
export function NamesGroup(): PropertyDecorator {
  return ValidateBy({
    name: 'namesGroup',
    validator: {
      validate: (value: unknown, args) =>
        (value as GroupRule | undefined)?.group !== undefined || (args?.object as GroupRules).group !== undefined,
      defaultMessage: (args) => `${args?.property ?? 'the rule'} needs a group: its own, or that of the container`,
    },
  });
}

/** `rack`, `web@rack`, `web@rack:required`, as people read it. @param own the container's group */
export function groupRuleText({ group, over = 'host', isRequired }: SpreadRule | AffinityRule, own?: string): string {
  return `${group ?? own ?? ''}@${over}${isRequired ? ':required' : ''}`;
}
