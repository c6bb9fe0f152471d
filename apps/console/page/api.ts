/** The console's API, as the page asks it. */
import type { Problem } from '@plinth/contracts/console';

export type Answer<T> =
  | { readonly ok: true; readonly status: number; readonly data: T }
  | { readonly ok: false; readonly reason: string; readonly detail: string };

const AWAY = { ok: false, reason: 'unavailable', detail: 'the console does not answer; try again' } as const;

/** @param path below `/api/v1` */
export async function ask<T>(
  method: string,
  path: string,
  options: { readonly body?: object; readonly key?: string; readonly signal?: AbortSignal } = {},
): Promise<Answer<T>> {
  const { body, key, signal } = options;
  try {
    const response = await fetch(`/api/v1${path}`, {
      method,
      signal,
      headers: {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(key === undefined ? {} : { 'idempotency-key': key }),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await response.text();
    if (response.ok) return { ok: true, status: response.status, data: (text === '' ? {} : JSON.parse(text)) as T };
    const { reason, detail } = JSON.parse(text) as Problem;
    return { ok: false, reason, detail };
  } catch (error) {
    if (error instanceof TypeError || error instanceof SyntaxError || signal?.aborted) return AWAY;
    throw error;
  }
}
