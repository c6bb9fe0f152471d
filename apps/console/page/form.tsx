/** What a person types: a form that is sent, and filters that stand in the address. */
import type { ComponentChildren } from 'preact';
import { route, setQuery } from './route.js';

/** The fields of a form that was sent. */
export interface Typed {
  /** '' where nothing was typed. */
  readonly text: (name: string) => string;
  readonly words: (name: string) => readonly string[];
  readonly empty: () => void;
}

interface FormProps {
  readonly onSend: (typed: Typed) => void;
  readonly children: ComponentChildren;
}

export function Form({ onSend, children }: FormProps) {
  return (
    <form
      class="fields"
      onSubmit={(event) => {
        event.preventDefault();
        const form = event.currentTarget;
        const fields = new FormData(form);
        const text = (name: string): string => {
          const value = fields.get(name);
          return typeof value === 'string' ? value : '';
        };
        const words = (name: string): string[] =>
          text(name)
            .split(/[\s,]+/)
            .filter(Boolean);
        onSend({ text, words, empty: () => form.reset() });
      }}
    >
      {children}
    </form>
  );
}

export interface FilterField {
  /** In the address and in the question to the API. */
  readonly name: string;
  readonly label: string;
  readonly placeholder: string;
}

interface FilterProps {
  readonly fields: readonly FilterField[];
  readonly onChange?: () => void;
  readonly children?: ComponentChildren;
}

export function Filter({ fields, onChange, children }: FilterProps) {
  const { query } = route.value;
  return (
    <div class="filter">
      {fields.map(({ name, label, placeholder }) => (
        <label key={name}>
          {label}{' '}
          <input
            type="search"
            value={query.get(name) ?? ''}
            placeholder={placeholder}
            autoComplete="off"
            spellcheck={false}
            onInput={(event) => {
              onChange?.();
              setQuery(name, event.currentTarget.value);
            }}
          />
        </label>
      ))}
      {children}
    </div>
  );
}

/** The query of the API for what stands in the filter. @param limit how many are asked for */
export function filterQuery(fields: readonly FilterField[], limit: number): string {
  const { query } = route.value;
  const given = fields.flatMap(({ name }) => (query.get(name) ? [[name, query.get(name) ?? '']] : []));
  return new URLSearchParams([...given, ['limit', String(limit)]]).toString();
}
