/** Labels of hosts, and what a container asks of them. */
import type { LabelConstraint } from '@plinth/contracts';
import type { CandidateHost } from './placement.js';

export type Labelled = Pick<CandidateHost, 'host' | 'datacenter' | 'labels'>;

/** What the host has of a label; every host has `host` and `datacenter`. */
export function labelOf({ host, datacenter, labels }: Labelled, key: string): string | undefined {
  if (key === 'host') return host;
  if (key === 'datacenter') return datacenter;
  return Object.hasOwn(labels, key) ? labels[key] : undefined;
}

export function meets(host: Labelled, { key, operator, values = [] }: LabelConstraint): boolean {
  const value = labelOf(host, key);
  switch (operator) {
    case 'in':
      return value !== undefined && values.includes(value);
    case 'not-in':
      return value === undefined || !values.includes(value);
    case 'exists':
      return value !== undefined;
    case 'absent':
      return value === undefined;
  }
}
