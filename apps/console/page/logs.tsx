/** What a container printed: the last lines, and on request as they come. Only the lines in sight are drawn, as text. */
import type { LogLine } from '../src/domain/log-lines.js';
import { shownText } from '../src/domain/log-text.js';
import type { Problem as ProblemDetails } from '@plinth/contracts/console';
import { useEffect, useRef, useState } from 'preact/hooks';
import { clock, count } from './format.js';
import { Problem } from './parts.js';

/** Height of a line in pixels, as in the style sheet. */
const LINE = 18;
const BEYOND = 10;
const TAIL = 200;
const MOST_LINES = 5_000;
/** Of a longer line its beginning is kept. */
const MOST_CHARACTERS = 4_000;
const AGAIN_MS = 2_000;
/** After these it makes no sense to try again by itself. */
const FINAL = ['container-gone', 'container-not-found', 'not-signed-in'];

interface Shown {
  readonly stream: LogLine['stream'];
  readonly time: string;
  readonly text: string;
}

const shown = ({ stream, time, text }: LogLine): Shown => ({
  stream,
  time,
  text: shownText(
    text.length > MOST_CHARACTERS
      ? `${text.slice(0, MOST_CHARACTERS)} … ${count(text.length - MOST_CHARACTERS)} more characters`
      : text,
  ),
});
const last = (lines: readonly Shown[]): readonly Shown[] => lines.slice(-MOST_LINES);

type Found = { readonly lines: readonly Shown[] } | { readonly problem: string };

async function lastLines(id: string, signal: AbortSignal): Promise<Found> {
  try {
    const response = await fetch(`/api/v1/containers/${id}/logs?tail=${TAIL}`, {
      signal,
      headers: { accept: 'application/x-ndjson' },
    });
    const text = await response.text();
    if (!response.ok) return { problem: (JSON.parse(text) as ProblemDetails).detail };
    const items = text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as LogLine | { problem: { message: string } });
    const cut = items.find((item) => 'problem' in item);
    if (cut) return { problem: cut.problem.message };
    return { lines: items.filter((item) => 'text' in item).map(shown) };
  } catch (error) {
    if (error instanceof TypeError || error instanceof SyntaxError || signal.aborted)
      return { problem: 'the console does not answer; try again' };
    throw error;
  }
}

export function Logs({ id, hasHost }: { readonly id: string; readonly hasHost: boolean }) {
  const [lines, setLines] = useState<readonly Shown[] | undefined>();
  /** When the lines were the present ones; undefined: they are. */
  const [asOf, setAsOf] = useState<string | undefined>();
  const [problem, setProblem] = useState('');
  const [isFollowing, setFollowing] = useState(false);
  const [round, setRound] = useState(0);

  useEffect(() => {
    if (!hasHost || isFollowing) return undefined;
    const abort = new AbortController();
    const asked = new Date().toISOString();
    void lastLines(id, abort.signal).then((found) => {
      if (abort.signal.aborted) return;
      setProblem('problem' in found ? found.problem : '');
      if ('problem' in found) return;
      setLines(found.lines);
      setAsOf(asked);
    });
    return () => abort.abort();
  }, [id, hasHost, isFollowing, round]);

  useEffect(() => {
    if (!isFollowing) return undefined;
    let source: EventSource | undefined;
    let timer: number | undefined;
    const open = (): void => {
      let begins = true;
      source = new EventSource(`/api/v1/containers/${id}/logs?tail=${TAIL}&follow=true`);
      const current = source;
      source.onopen = () => {
        setProblem('');
        setAsOf(undefined);
      };
      source.addEventListener('lines', (event) => {
        const { items } = JSON.parse(String(event.data)) as { items: LogLine[] };
        const isFirst = begins;
        begins = false;
        setLines((before = []) => last(isFirst ? items.map(shown) : [...before, ...items.map(shown)]));
      });
      const cut = (text: string, goesOn: boolean): void => {
        current.close();
        setProblem(text);
        setAsOf((before) => before ?? new Date().toISOString());
        if (goesOn) timer = window.setTimeout(open, AGAIN_MS);
        else setFollowing(false);
      };
      source.addEventListener('end', (event) => {
        const { reason, message } = JSON.parse(String(event.data)) as { reason: string; message: string };
        cut(message, !FINAL.includes(reason));
      });
      source.onerror = () => cut('Nothing comes at the moment; the page tries again.', true);
    };
    open();
    return () => {
      window.clearTimeout(timer);
      source?.close();
      setAsOf((before) => before ?? new Date().toISOString());
    };
  }, [id, isFollowing]);

  return (
    <section aria-labelledby="logs" class="logs">
      <div class="headed">
        <h2 id="logs">Logs</h2>
        <span class="hint" role="status">
          {asOf === undefined ? (isFollowing && lines !== undefined ? 'follows' : '') : `as of ${clock(asOf)}`}
        </span>
        <button type="button" aria-pressed={isFollowing} disabled={!hasHost} onClick={() => setFollowing(!isFollowing)}>
          {isFollowing ? '‖ stop' : '▸ follow'}
        </button>
        <button type="button" disabled={!hasHost || isFollowing} onClick={() => setRound(round + 1)}>
          again
        </button>
        <Copy lines={lines ?? []} />
      </div>
      <Problem text={problem} />
      {!hasHost && <p class="loading">It has no host yet.</p>}
      {hasHost && lines === undefined && problem === '' && <p class="loading">Loading…</p>}
      {lines?.length === 0 && <p class="loading">It has printed nothing.</p>}
      {lines !== undefined && lines.length > 0 && <Lines lines={lines} />}
    </section>
  );
}

function Copy({ lines }: { readonly lines: readonly Shown[] }) {
  const [isCopied, setCopied] = useState(false);
  const copy = (): void => {
    navigator.clipboard.writeText(lines.map(({ text }) => `${text}\n`).join('')).then(
      () => setCopied(true),
      () => setCopied(false),
    );
  };
  return (
    <button type="button" disabled={lines.length === 0} onClick={copy} aria-label="copy the lines">
      {isCopied ? 'copied' : 'copy'}
    </button>
  );
}

/** At its end it stays there, when more lines come. */
function Lines({ lines }: { readonly lines: readonly Shown[] }) {
  const view = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const atEnd = useRef(true);
  useEffect(() => {
    const element = view.current;
    if (element && atEnd.current) element.scrollTop = element.scrollHeight;
  }, [lines]);
  const height = view.current?.clientHeight ?? 400;
  const first = Math.max(0, Math.floor(top / LINE) - BEYOND);
  return (
    <div
      class="output"
      ref={view}
      role="log"
      aria-label="last lines"
      aria-live="off"
      tabIndex={0}
      onScroll={({ currentTarget: { scrollTop, scrollHeight, clientHeight } }) => {
        atEnd.current = scrollTop + clientHeight >= scrollHeight - LINE;
        setTop(scrollTop);
      }}
    >
      <div role="presentation" style={{ height: `${lines.length * LINE}px` }}>
        <ol style={{ transform: `translateY(${first * LINE}px)` }}>
          {lines.slice(first, first + Math.ceil(height / LINE) + 2 * BEYOND).map(({ stream, time, text }, index) => (
            <li key={first + index} class={stream} title={stream === 'stderr' ? `${time} standard error` : time}>
              {text}
            </li>
          ))}
        </ol>
      </div>
    </div>
  );
}
