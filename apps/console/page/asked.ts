/** What a view has asked of the API: again when what it depends on changes. */
import { useEffect, useState } from 'preact/hooks';
import { type Answer, ask } from './api.js';

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

export interface Changeable<T> extends Pick<Asked<T>, 'data' | 'problem'> {
  /** Sends a change and asks again; what was refused is the problem until the next change. */
  readonly change: <R>(method: string, path: string, body?: object) => Promise<Answer<R>>;
}

/** For what the view changes itself. */
export function useChangeable<T>(path: string): Changeable<T> {
  const { data, problem, again } = useAsked<T>(path);
  const [refusal, setRefusal] = useState<string | undefined>();
  const change = async <R>(method: string, target: string, body?: object): Promise<Answer<R>> => {
    const answer = await ask<R>(method, target, { body });
    setRefusal(answer.ok ? undefined : answer.detail);
    again();
    return answer;
  };
  return { data, problem: problem ?? refusal, change };
}
