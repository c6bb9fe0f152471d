/** The result of one check of what plinth needs from a machine. */
export interface Check {
  readonly name: string;
  readonly state: 'ok' | 'warn' | 'fail';
  readonly found: string;
  /** What to do about it; absent when all is well. */
  readonly todo?: string;
}

export const ok = (name: string, found: string): Check => ({ name, state: 'ok', found });
export const warn = (name: string, found: string, todo: string): Check => ({ name, state: 'warn', found, todo });
export const fail = (name: string, found: string, todo: string): Check => ({ name, state: 'fail', found, todo });
