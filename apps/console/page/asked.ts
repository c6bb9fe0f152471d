/** What a view has asked of the API: again when what it depends on changes. */
import { useEffect, useState } from 'preact/hooks';
import { ask } from './api.js';

export interface Asked<T> {
  readonly data: T | undefined;
  readonly problem: string | undefined;
  readonly again: () => void;
}

/** @param path undefined: nothing is asked @param stamp another value asks again */
export function useAsked<T>(path: string | undefined, stamp: unknown = ''): Asked<T> {
  const [data, setData] = useState<T | undefined>();
  const [problem, setProblem] = useState<string | undefined>();
  const [round, setRound] = useState(0);
  useEffect(() => {
    if (path === undefined) return undefined;
    const abort = new AbortController();
    void ask<T>('GET', path, { signal: abort.signal }).then((answer) => {
      if (abort.signal.aborted) return;
      if (answer.ok) setData(answer.data);
      setProblem(answer.ok ? undefined : answer.detail);
    });
    return () => abort.abort();
  }, [path, stamp, round]);
  return { data, problem, again: () => setRound((before) => before + 1) };
}
