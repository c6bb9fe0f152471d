/** The list: only the rows that are in sight are drawn, however many there are. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { FILTER_FIELDS, fitsFilter, parseFilter } from '../src/domain/container-filter.js';
import { RunContainer } from './container-acts.js';
import { count } from './format.js';
import { containersInOrder, isLoaded } from './live.js';
import { CONTAINER_STATES_SHOWN, statesOf } from './numbers.js';
import { Empty, Health, State } from './parts.js';
import { go, route, setQuery } from './route.js';
import { session } from './session.js';

/** Height of a row in pixels, as in the style sheet. */
const ROW = 36;
const BEYOND = 6;

const withState = (query: string, state: string): string => {
  const rest = query.replace(/(?:^|\s)-?state:\S+/g, '').trim();
  return query.includes(`state:${state}`) ? rest : `state:${state} ${rest}`.trim();
};

export function Containers() {
  const query = route.value.query.get('q') ?? '';
  const all = containersInOrder();
  const terms = parseFilter(query);
  const rows = terms.length === 0 ? all : all.filter((row) => fitsFilter(terms, row));
  const counts = statesOf(all.filter((row) => fitsFilter(parseFilter(query.replace(/(?:^|\s)-?state:\S+/g, '')), row)));
  const view = useRef<HTMLDivElement>(null);
  const input = useRef<HTMLInputElement>(null);
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(600);
  const [selected, setSelected] = useState(-1);
  // Keys come faster than the page is drawn: they work on these.
  const rowsNow = useRef(rows);
  rowsNow.current = rows;
  const selectedNow = useRef(-1);
  const select = (index: number): void => {
    selectedNow.current = index;
    setSelected(index);
  };

  useEffect(() => {
    const element = view.current;
    if (!element) return undefined;
    const observer = new ResizeObserver(() => setHeight(element.clientHeight));
    observer.observe(element);
    return () => observer.disconnect();
  }, [isLoaded.value, rows.length === 0]);

  useEffect(() => {
    const press = (event: KeyboardEvent): void => {
      const isTyping = event.target instanceof HTMLInputElement;
      if (isTyping && event.key === 'Escape') (event.target as HTMLInputElement).blur();
      if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === '/') {
        event.preventDefault();
        input.current?.focus();
      } else if (event.key === 'j' || event.key === 'k') {
        const next = Math.min(
          rowsNow.current.length - 1,
          Math.max(0, selectedNow.current + (event.key === 'j' ? 1 : -1)),
        );
        select(next);
        const element = view.current;
        if (element && next * ROW < element.scrollTop) element.scrollTop = next * ROW;
        if (element && (next + 2) * ROW > element.scrollTop + element.clientHeight)
          element.scrollTop = (next + 2) * ROW - element.clientHeight;
      } else if (event.key === 'Enter' && event.target === document.body && !document.querySelector('dialog[open]')) {
        const row = rowsNow.current[selectedNow.current];
        if (row) go(`/containers/${row.id}`);
      }
    };
    document.addEventListener('keydown', press);
    return () => document.removeEventListener('keydown', press);
  }, []);

  const first = Math.max(0, Math.floor(top / ROW) - BEYOND);
  const shown = rows.slice(first, first + Math.ceil(height / ROW) + 2 * BEYOND);
  if (!isLoaded.value) return <p class="loading">Loading…</p>;
  return (
    <div class="list">
      <div class="headed">
        <h1>Containers</h1>
        <RunContainer tenants={session.value?.role === 'developer' ? session.value.tenants : undefined} />
      </div>
      <div class="filter">
        <label for="filter">Filter</label>
        <input
          id="filter"
          ref={input}
          type="search"
          value={query}
          placeholder="state:failed -tenant:acme shop"
          aria-describedby="fields"
          autoComplete="off"
          spellcheck={false}
          onInput={(event) => {
            setQuery('q', event.currentTarget.value);
            select(-1);
          }}
        />
        <span id="fields" class="hint">
          <kbd>/</kbd> filter, <kbd>j</kbd> <kbd>k</kbd> <kbd>Enter</kbd>; fields: {FILTER_FIELDS.join(', ')}
        </span>
      </div>
      <p class="chips">
        <span class="total">
          {count(rows.length)} of {count(all.length)}
        </span>
        {CONTAINER_STATES_SHOWN.filter((state) => counts[state] > 0).map((state) => (
          <button
            key={state}
            type="button"
            class="chip"
            aria-pressed={query.includes(`state:${state}`)}
            onClick={() => setQuery('q', withState(query, state))}
          >
            <State state={state} /> {count(counts[state])}
          </button>
        ))}
      </p>
      {rows.length === 0 ? (
        all.length === 0 ? (
          <Empty command="plinth run --name shop-1">No container is here yet.</Empty>
        ) : (
          <Empty>No container fits the filter.</Empty>
        )
      ) : (
        <div class="grid" role="table" aria-label="containers" aria-rowcount={rows.length + 1}>
          <div role="rowgroup">
            <div role="row" class="row head" aria-rowindex={1}>
              <span role="columnheader">name</span>
              <span role="columnheader">state</span>
              <span role="columnheader" class="tenant">
                tenant
              </span>
              <span role="columnheader" class="image">
                image
              </span>
              <span role="columnheader" class="host">
                host
              </span>
              <span role="columnheader" class="health">
                health
              </span>
              <span role="columnheader" class="note">
                note
              </span>
            </div>
          </div>
          <div
            class="view"
            ref={view}
            role="rowgroup"
            tabIndex={0}
            aria-label="rows"
            onScroll={(event) => setTop(event.currentTarget.scrollTop)}
          >
            <div role="presentation" style={{ height: `${rows.length * ROW}px`, position: 'relative' }}>
              {shown.map((row, index) => (
                <div
                  key={row.id}
                  role="row"
                  aria-rowindex={first + index + 2}
                  class={first + index === selected ? 'row selected' : 'row'}
                  style={{ transform: `translateY(${(first + index) * ROW}px)`, position: 'absolute' }}
                >
                  <span role="cell">
                    <a href={`/containers/${row.id}`}>{row.name}</a>
                  </span>
                  <span role="cell">
                    <State state={row.state} />
                  </span>
                  <span role="cell" class="tenant">
                    {row.tenant}
                  </span>
                  <span role="cell" class="image">
                    {row.image ?? '–'}
                  </span>
                  <span role="cell" class="host">
                    {row.host ?? '–'}
                  </span>
                  <span role="cell" class="health">
                    <Health health={row.health} />
                  </span>
                  <span role="cell" class="note" title={row.message ?? ''}>
                    {row.message ?? ''}
                  </span>
                </div>
              ))}
            </div>
          </div>
        </div>
      )}
    </div>
  );
}
