/** Whether a subject fits a filter with the wildcards `*` (one token) and `>` (the rest). */
export function fitsFilter(subject: string, filter: string): boolean {
  const tokens = subject.split('.');
  const wanted = filter.split('.');
  return (
    wanted.every((token, at) =>
      token === '>' ? tokens.length > at : token === '*' ? tokens[at] !== undefined : token === tokens[at],
    ) &&
    (wanted.at(-1) === '>' || wanted.length === tokens.length)
  );
}
