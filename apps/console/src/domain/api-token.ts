/** API tokens as they are written: `plinth_<id>_<secret>`. Pure. */

export interface TokenParts {
  /** Public: it names the token in lists. */
  readonly id: string;
  /** 256 random bits. */
  readonly secret: string;
}

const FORM = /^plinth_([0-9a-f]{12})_([A-Za-z0-9_-]{43})$/;

export const formatToken = ({ id, secret }: TokenParts): string => `plinth_${id}_${secret}`;

/** @returns undefined when it is none */
export function parseToken(text: string): TokenParts | undefined {
  const [, id, secret] = FORM.exec(text) ?? [];
  return id === undefined || secret === undefined ? undefined : { id, secret };
}
