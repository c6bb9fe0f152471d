/** The address of the page is its state: view, filter, selection. */
import { signal } from '@preact/signals';

const read = (): { path: string; query: URLSearchParams } => ({
  path: location.pathname,
  query: new URLSearchParams(location.search),
});

export const route = signal(read());

export function go(href: string): void {
  history.pushState(null, '', href);
  route.value = read();
}

/** Changes the query of this view without a step in the history. */
export function setQuery(name: string, value: string): void {
  const query = new URLSearchParams(location.search);
  if (value === '') query.delete(name);
  else query.set(name, value);
  const text = query.toString();
  history.replaceState(null, '', `${location.pathname}${text ? `?${text}` : ''}`);
  route.value = read();
}

export function followRoute(): void {
  window.addEventListener('popstate', () => (route.value = read()));
  document.addEventListener('click', (event) => {
    const link = event.target instanceof Element ? event.target.closest('a') : null;
    const isPlain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey;
    if (!link || !isPlain || link.origin !== location.origin || link.hasAttribute('download')) return;
    event.preventDefault();
    go(link.pathname + link.search);
  });
}

/** The list with a filter. */
export const listOf = (filter: string): string => `/containers?q=${encodeURIComponent(filter)}`;
