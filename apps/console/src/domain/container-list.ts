/** A page of the list of containers, and what of one container is not shown. Pure. */
import type { ContainerDetails, ContainerStatus } from '@plinth/contracts';
import type { ListContainers } from '@plinth/contracts/console';
import { maySee, type Viewer } from './access.js';
import { fitsFilter, parseFilter } from './container-filter.js';
import { type LiveState, sortKey } from './live-state.js';
import { countStates } from './overview.js';

const DEFAULT_LIMIT = 100;

export interface ContainersFound {
  readonly items: readonly ContainerStatus[];
  readonly counts: Readonly<Record<string, number>>;
  readonly total: number;
  readonly next?: string;
}

/** The cursor is the place after which to go on: what is added or removed meanwhile shifts nothing. */
export function listContainers(viewer: Viewer, asked: ListContainers, state: LiveState): ContainersFound {
  const terms = parseFilter(asked.q ?? '');
  const { image, host, tenant, limit = DEFAULT_LIMIT } = asked;
  const after = asked.cursor === undefined ? '' : Buffer.from(asked.cursor, 'base64url').toString('utf8');
  const fitting = state.containers().filter(({ value }) => {
    if (!value || !maySee(viewer, 'containers', value)) return false;
    if (tenant !== undefined && value.tenant !== tenant) return false;
    if (host !== undefined && value.host !== host) return false;
    if (image !== undefined && value.image !== image && value.image?.split('@')[0] !== image) return false;
    return fitsFilter(terms, value);
  });
  const chosen = fitting.filter(({ value }) => asked.state === undefined || value?.state === asked.state);
  const rest = after === '' ? chosen : chosen.filter((entry) => sortKey(entry) > after);
  const page = rest.slice(0, limit);
  const last = page.at(-1);
  const values = (entries: typeof page): ContainerStatus[] => entries.flatMap(({ value }) => (value ? [value] : []));
  return {
    items: values(page),
    counts: countStates(values(fitting)),
    total: chosen.length,
    ...(last && rest.length > limit ? { next: Buffer.from(sortKey(last)).toString('base64url') } : {}),
  };
}

/** Values of its environment may be secrets. */
export function withoutSecrets(details: ContainerDetails): ContainerDetails {
  const { config } = details;
  if (!config) return details;
  const env = Object.fromEntries(Object.keys(config.env ?? {}).map((name) => [name, '…']));
  return { ...details, config: { ...config, env } };
}
