/** The last requests and facts of the bus, as they are shown. Pure. */
import type { EventEntry, ListEvents } from '@plinth/contracts/console';
import { maySeeTenant, type Viewer } from './access.js';

/** Events that are kept. */
export const KEPT_EVENTS = 5_000;
const MOST_DATA = 8_192;
const DEFAULT_LIMIT = 100;

/** The tenant of a container; undefined: it is not known. */
export type TenantOf = (containerId: string) => string | undefined;

export interface EventsFound {
  readonly items: readonly EventEntry[];
  readonly next?: string;
  readonly oldest: number;
}

export class EventLog {
  private entries: EventEntry[] = [];

  get last(): number {
    return this.entries.at(-1)?.sequence ?? 0;
  }

  clear(): void {
    this.entries = [];
  }

  /** In the order of their sequences; what came before is left out. */
  add(entry: EventEntry): boolean {
    if (entry.sequence <= this.last) return false;
    this.entries.push(entry);
    if (this.entries.length > KEPT_EVENTS + KEPT_EVENTS / 4) this.entries = this.entries.slice(-KEPT_EVENTS);
    return true;
  }

  /** Newest first. */
  find(viewer: Viewer, asked: ListEvents, tenantOf: TenantOf): EventsFound {
    const { limit = DEFAULT_LIMIT, cursor } = asked;
    const before = cursor === undefined ? Infinity : Number(cursor);
    const items: EventEntry[] = [];
    for (let index = this.entries.length - 1; index >= 0; index--) {
      const entry = this.entries[index];
      if (!entry || entry.sequence >= before || !fits(viewer, asked, entry, tenantOf)) continue;
      if (items.length === limit) return { items, next: String(items.at(-1)?.sequence), oldest: this.oldest };
      items.push(entry);
    }
    return { items, oldest: this.oldest };
  }

  /** After a position, oldest first. */
  since(sequence: number, viewer: Viewer, asked: ListEvents, tenantOf: TenantOf): readonly EventEntry[] {
    let from = this.entries.length;
    while (from > 0 && (this.entries[from - 1]?.sequence ?? 0) > sequence) from--;
    return this.entries.slice(from).filter((entry) => fits(viewer, asked, entry, tenantOf));
  }

  private get oldest(): number {
    return this.entries[0]?.sequence ?? 0;
  }
}

function fits(viewer: Viewer, asked: ListEvents, entry: EventEntry, tenantOf: TenantOf): boolean {
  const tenant = tenantOfEvent(entry, tenantOf);
  // What is about a tenant as a whole is decided by others.
  if (!maySeeTenant(viewer, entry.subject.startsWith('container.') ? tenant : undefined)) return false;
  if (asked.tenant !== undefined && tenant !== asked.tenant) return false;
  if (asked.correlation !== undefined && entry.correlationId !== asked.correlation && entry.id !== asked.correlation)
    return false;
  if (asked.subject !== undefined && !fitsSubject(asked.subject, entry.subject)) return false;
  return asked.q === undefined || textsOf(entry).includes(asked.q.toLowerCase());
}

/** @returns undefined: it is of no tenant, or of a container that is not known */
export function tenantOfEvent(
  { subject, data }: Pick<EventEntry, 'subject' | 'data'>,
  tenantOf: TenantOf,
): string | undefined {
  if (typeof data['tenant'] === 'string') return data['tenant'];
  if (!subject.startsWith('container.')) return undefined;
  const id = data['containerId'] ?? data['id'];
  if (typeof id === 'string') return tenantOf(id);
  return subject.endsWith('.requested') ? 'default' : undefined;
}

/** As NATS has it: `*` is a token, `>` the rest. */
export function fitsSubject(pattern: string, subject: string): boolean {
  const wanted = pattern.split('.');
  const tokens = subject.split('.');
  return (
    (wanted.length === tokens.length || wanted.at(-1) === '>') &&
    wanted.every((token, at) => token === '>' || ((token === '*' || token === tokens[at]) && at < tokens.length))
  );
}

const TEXTS = [
  'name',
  'containerId',
  'id',
  'tenant',
  'host',
  'image',
  'rolloutId',
  'to',
  'reason',
  'message',
  'storageNode',
];

function textsOf({ subject, id, correlationId, actor, data }: EventEntry): string {
  const texts = TEXTS.map((key) => data[key]).filter((value) => typeof value === 'string');
  return [subject, id, correlationId, actor, ...texts].join('\n').toLowerCase();
}

/** What is shown of a body: values of environments may be secrets, recipes are long. */
export function shownData(data: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const shown = withoutEnvironments(data) as Readonly<Record<string, unknown>>;
  const length = JSON.stringify(shown).length;
  if (length <= MOST_DATA) return shown;
  const short = Object.entries(shown).filter(([, value]) => typeof value !== 'object' && String(value).length <= 200);
  return { ...Object.fromEntries(short.slice(0, 40)), leftOut: `${length} characters` };
}

function withoutEnvironments(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutEnvironments);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      key,
      key.toLowerCase() === 'env' ? namesOnly(inner) : withoutEnvironments(inner),
    ]),
  );
}

function namesOnly(env: unknown): unknown {
  if (env === null || typeof env !== 'object' || Array.isArray(env)) return '…';
  return Object.fromEntries(Object.keys(env).map((name) => [name, '…']));
}
