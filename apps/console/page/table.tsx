/** A table that scrolls by itself where it is wider than the page. */
import type { ComponentChildren } from 'preact';

/** A name; `unseen` ones are for screen readers. */
export type Heading = string | { readonly number: string } | { readonly unseen: string };

interface TableProps {
  /** Its name for screen readers. */
  readonly label: string;
  readonly head: readonly Heading[];
  /** Rows. */
  readonly children: ComponentChildren;
}

export function Table({ label, head, children }: TableProps) {
  return (
    <div class="wide" tabIndex={0} role="region" aria-label={label}>
      <table>
        <thead>
          <tr>{head.map(headingOf)}</tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}

function headingOf(heading: Heading) {
  const name = typeof heading === 'string' ? heading : 'number' in heading ? heading.number : heading.unseen;
  return (
    <th key={name} scope="col" class={typeof heading === 'object' && 'number' in heading ? 'number' : undefined}>
      {typeof heading === 'object' && 'unseen' in heading ? <span class="unseen">{name}</span> : name}
    </th>
  );
}
