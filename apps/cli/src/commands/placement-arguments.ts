/** Words about where a container may be placed, as they are written on the command line. */
import {
  type AffinityRule,
  LABEL_KEY_PATTERN,
  LABEL_KEY_WORDS,
  LABEL_VALUE_PATTERN,
  LABEL_VALUE_WORDS,
  type LabelConstraint,
  labelProblem,
  MAX_CONSTRAINTS,
  NAME_PATTERN,
  NAME_WORDS,
  type SpreadRule,
} from '@plinth/contracts';
import { InvalidArgumentError } from 'commander';

export const ON_HELP = 'on a host with this label, repeatable; see below';

export const PLACEMENT_HELP = `
Placement (plinth hosts --labels lists labels; host, datacenter and arch are some that every host has):
  --on gpu=yes                  on hosts whose label gpu is yes
  --on rack=r1,r2               whose rack is r1 or r2
  --on 'rack!=r2'               whose rack is not r2, or that have no label rack
  --on ssd                      that have a label ssd, whatever it is
  --on '!spot'                  that have no label spot
  --group web --spread rack     as many of the tenant's group web in each rack; others: host, datacenter, any label
  --apart web                   on a host without one of the group web; --apart web@rack: in a rack without one
  --near db                     on a host with one of the group db; --near db@datacenter: in its data centre
With :required behind it (--spread rack:required) the request is refused where that can't be; else it is kept as far as
there is room. What is asked for holds for moves, too.`;

/** Reads `rack`, `rack:required`. */
export function parseSpread(text: string): SpreadRule {
  const [, over = '', required] = /^([^:]*)(:required)?$/.exec(text) ?? [];
  return { over: keyOf(over), ...(required && { isRequired: true }) };
}

/** Reads `web`, `web@rack`, `web@rack:required`. */
export function parseAffinity(text: string): AffinityRule {
  const [, group = '', over, required] = /^([^@:]*)(?:@([^:]*))?(:required)?$/.exec(text) ?? [];
  if (!NAME_PATTERN.test(group))
    throw new InvalidArgumentError(`it is written web, web@rack or web@rack:required; a group has ${NAME_WORDS}`);
  return { group, ...(over !== undefined && { over: keyOf(over) }), ...(required && { isRequired: true }) };
}

/** Collects `gpu=yes`, `rack!=r1,r2`, `ssd`, `!ssd`. @param before what the options before it ask for */
export function parseConstraint(text: string, before: readonly LabelConstraint[] = []): LabelConstraint[] {
  if (before.length === MAX_CONSTRAINTS) throw new InvalidArgumentError(`at most ${MAX_CONSTRAINTS} may be given`);
  return [...before, constraintOf(text)];
}

function constraintOf(text: string): LabelConstraint {
  const match = /^([^=!]+)(!?=)(.*)$/.exec(text);
  if (match) {
    const [, key = '', sign, list = ''] = match;
    const values = [...new Set(list.split(','))];
    const bad = values.find((value) => !LABEL_VALUE_PATTERN.test(value));
    if (bad !== undefined)
      throw new InvalidArgumentError(`${JSON.stringify(bad)} is no value of a label: ${LABEL_VALUE_WORDS}`);
    return { key: keyOf(key), operator: sign === '=' ? 'in' : 'not-in', values };
  }
  return text.startsWith('!')
    ? { key: keyOf(text.slice(1)), operator: 'absent' }
    : { key: keyOf(text), operator: 'exists' };
}

function keyOf(text: string): string {
  if (!LABEL_KEY_PATTERN.test(text))
    throw new InvalidArgumentError(`${JSON.stringify(text)} is no key of a label: ${LABEL_KEY_WORDS}`);
  return text;
}

export interface LabelChange {
  readonly set: Readonly<Record<string, string>>;
  readonly remove: readonly string[];
}

/** Reads `gpu=yes` and `gpu-`; a text says what is wrong. */
export function parseLabelChange(words: readonly string[]): LabelChange | string {
  const set: Record<string, string> = {};
  const remove: string[] = [];
  for (const word of words) {
    const equals = word.indexOf('=');
    const key = equals < 0 ? word.replace(/-$/, '') : word.slice(0, equals);
    if (Object.hasOwn(set, key) || remove.includes(key)) return `the label ${key} is named twice`;
    if (equals >= 0) {
      const value = word.slice(equals + 1);
      const problem = labelProblem(key, value);
      if (problem !== undefined) return problem;
      set[key] = value;
    } else if (word.endsWith('-') && LABEL_KEY_PATTERN.test(key)) remove.push(key);
    else return `${word} is no label: write gpu=yes to set one, gpu- to remove it`;
  }
  return { set, remove };
}

/** `gpu=yes,rack=r1` */
export function describeLabels(labels: Readonly<Record<string, string>> | undefined): string {
  return Object.entries(labels ?? {})
    .map(([key, value]) => `${key}=${value}`)
    .sort()
    .join(',');
}
