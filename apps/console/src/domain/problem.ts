/** Problem details for HTTP (RFC 9457), with the system's reason codes in `reason`. Pure. */

export const PROBLEM_STATUS = {
  'invalid-request': 400,
  'not-signed-in': 401,
  'wrong-sign-in': 401,
  'sign-in-over': 401,
  'provider-refused': 401,
  'role-not-allowed': 403,
  'foreign-origin': 403,
  'no-group': 403,
  'no-name': 403,
  'user-disabled': 403,
  'not-found': 404,
  'container-not-found': 404,
  'rollout-not-found': 404,
  'image-not-found': 404,
  'request-not-found': 404,
  'letter-not-found': 404,
  'user-not-found': 404,
  'token-not-found': 404,
  'key-in-use': 409,
  'user-exists': 409,
  'last-admin': 409,
  'from-provider': 409,
  'no-host': 409,
  'not-replayable': 409,
  'too-many-sign-ins': 429,
  'too-many-streams': 429,
  'no-answer': 502,
  unavailable: 503,
  'provider-unavailable': 503,
} as const;
export type ProblemReason = keyof typeof PROBLEM_STATUS;

export interface ProblemBody {
  readonly type: 'about:blank';
  readonly status: number;
  readonly title: string;
  /** What to do next, for people. */
  readonly detail: string;
  readonly reason: string;
}

export function problemBody(reason: ProblemReason, detail: string): ProblemBody {
  return { type: 'about:blank', status: PROBLEM_STATUS[reason], title: reason.replaceAll('-', ' '), detail, reason };
}
