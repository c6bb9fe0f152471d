/** What becomes of a request, from what the services publish. Pure. */
import { CONSOLE_ACTS, type ConsoleAct, type FactSubject } from '@plinth/contracts';

/** What a message shows of what it follows from. */
export interface Seen {
  readonly subject: string;
  readonly correlationId: string;
  readonly causationId?: string | null;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface Conclusion {
  readonly outcome: 'done' | 'failed' | 'refused';
  readonly reason: string | null;
  readonly message: string | null;
}

const BY_SUBJECT = new Map<string, ConsoleAct>(CONSOLE_ACTS.map((act) => [act.subject, act]));
const BY_NAME = new Map<string, ConsoleAct>(CONSOLE_ACTS.map((act) => [act.name, act]));
const MOST_TEXT = 1_000;

/** The act whose request has this subject. */
export const actOfSubject = (subject: string): ConsoleAct | undefined => BY_SUBJECT.get(subject);
export const actNamed = (name: string): ConsoleAct | undefined => BY_NAME.get(name);

/** Ids of requests that a message may answer. */
export function answeredBy({ correlationId, causationId, data }: Seen): ReadonlySet<string> {
  const ids = [correlationId, causationId, data['requestId']];
  return new Set(ids.filter((id): id is string => typeof id === 'string'));
}

/** @returns undefined: it goes on */
export function conclusionOf(act: ConsoleAct, requestId: string, seen: Seen): Conclusion | undefined {
  const { subject, correlationId, causationId, data } = seen;
  const because = { reason: textOf(data['reason']), message: textOf(data['message']) };
  if (subject.endsWith('.rejected'))
    return data['requestId'] === requestId ? { outcome: 'refused', ...because } : undefined;
  const isOf = correlationId === requestId || data['requestId'] === requestId;
  if (isOf && act.failed.includes(subject as FactSubject)) return { outcome: 'failed', ...because };
  if (isOf && act.done.includes(subject as FactSubject)) return { outcome: 'done', reason: null, message: null };
  const isFirst = act.done.length === 0 && causationId === requestId && !subject.endsWith('.requested');
  return isFirst ? { outcome: 'done', reason: null, message: null } : undefined;
}

/** What a request is about, for the record. */
export function targetOf(
  act: ConsoleAct,
  data: Readonly<Record<string, unknown>>,
): { readonly target: string | null; readonly tenant: string | null } {
  const isContainer = act.name.startsWith('container.');
  const named = isContainer ? (data['id'] ?? data['name']) : act.fills === undefined ? undefined : data[act.fills];
  const to = act.name === 'rollout.start' ? data['to'] : undefined;
  const tenant = textOf(data['tenant']) ?? (isContainer && data['id'] === undefined ? 'default' : null);
  return { target: textOf(named ?? to), tenant };
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value.slice(0, MOST_TEXT) : null;
}
