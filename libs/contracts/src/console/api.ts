/** Every operation of the console's HTTP API: the handlers and the OpenAPI document follow from this list. */
import { contractOf } from '../bus/catalogue.js';
import type { Payload } from '../bus/contract.js';
import { CONSOLE_ACTS, type ConsoleAct } from '../console-acts.js';
import * as answers from './answers/index.js';
import * as requests from './requests.js';

export interface Operation {
  readonly id: string;
  readonly method: 'get' | 'post' | 'put' | 'patch' | 'delete';
  /** Below `/api/v1`; `{id}` for a parameter. */
  readonly path: string;
  readonly summary: string;
  readonly query?: Payload;
  readonly body?: Payload;
  /** Fields of the body's class that the path or the session gives. */
  readonly without?: readonly string[];
  /** It is carried out later: 202 and a request. */
  readonly isAct?: boolean;
  /**
   * Absent: it has no body (204). `stream`: text/event-stream; `lines`: that, text, or an object a line; `redirect`: 303.
   */
  readonly answer?: Payload | 'stream' | 'lines' | 'redirect';
  /** Reason codes of its problems, besides those of every operation. */
  readonly reasons?: readonly string[];
}

/** Fields of the request of an act that its caller does not give. */
export function fieldsByPath({ fills, name }: ConsoleAct): readonly string[] {
  if (name.startsWith('container.') && fills !== undefined) return ['id', 'name', 'tenant'];
  return fills === undefined ? [] : [fills];
}

const ACTS: readonly Operation[] = CONSOLE_ACTS.map((act) => ({
  id: act.name.replace(/\.(\w)/, (_, letter: string) => letter.toUpperCase()),
  method: 'post',
  path: act.path,
  summary: act.summary,
  query: requests.WaitQuery,
  body: contractOf(act.subject).payload,
  without: fieldsByPath(act),
  answer: answers.RequestAnswer,
  reasons: ['key-in-use', ...(act.path.startsWith('/containers/') ? ['container-not-found'] : [])],
  isAct: true,
}));

export const CONSOLE_API: readonly Operation[] = [
  {
    id: 'listContainers',
    method: 'get',
    path: '/containers',
    summary: 'Containers by tenant, name and id',
    query: requests.ListContainers,
    answer: answers.ContainerList,
  },
  {
    id: 'getContainer',
    method: 'get',
    path: '/containers/{id}',
    summary: 'One container with config and history',
    answer: answers.ContainerAnswer,
    reasons: ['container-not-found'],
  },
  {
    id: 'readLogs',
    method: 'get',
    path: '/containers/{id}/logs',
    summary:
      "A container's last lines; text, or by `Accept: application/x-ndjson` an object `{time, stream, text}` a line; with " +
      '`follow=true` events `lines` and, in the end, `end` with `reason` and `message`',
    query: requests.ReadLogs,
    answer: 'lines',
    reasons: ['container-not-found', 'no-host', 'too-many-streams', 'no-answer'],
  },
  { id: 'listHosts', method: 'get', path: '/hosts', summary: 'Hosts', answer: answers.HostList },
  { id: 'listStorage', method: 'get', path: '/storage', summary: 'Storage nodes', answer: answers.StorageList },
  { id: 'listRollouts', method: 'get', path: '/rollouts', summary: 'Rollouts', answer: answers.RolloutList },
  {
    id: 'listImages',
    method: 'get',
    path: '/images',
    summary: 'Versions of images',
    answer: answers.ImageList,
    reasons: ['no-answer'],
  },
  { id: 'getOverview', method: 'get', path: '/overview', summary: 'Numbers', answer: answers.OverviewAnswer },
  {
    id: 'openStream',
    method: 'get',
    path: '/stream',
    summary: 'Everything once, then changes; goes on after `Last-Event-ID`',
    query: requests.OpenStream,
    answer: 'stream',
  },
  { id: 'getSession', method: 'get', path: '/session', summary: 'Who is signed in', answer: answers.SessionAnswer },
  {
    id: 'beginSession',
    method: 'post',
    path: '/session',
    summary: 'Sign in',
    body: requests.BeginSession,
    answer: answers.SessionAnswer,
    reasons: ['wrong-sign-in', 'too-many-sign-ins'],
  },
  { id: 'endSession', method: 'delete', path: '/session', summary: 'Sign out' },
  {
    id: 'listSignInWays',
    method: 'get',
    path: '/session/ways',
    summary: 'How people sign in besides password and link',
    answer: answers.SignInWays,
  },
  {
    id: 'beginProviderSignIn',
    method: 'get',
    path: '/session/oidc',
    summary: 'Sign in by the OpenID provider: sends the browser there',
    query: requests.BeginProviderSignIn,
    answer: 'redirect',
    reasons: ['not-found'],
  },
  {
    id: 'endProviderSignIn',
    method: 'post',
    path: '/session/oidc',
    summary: 'End a sign-in by the OpenID provider, with what it gave the browser',
    body: requests.EndProviderSignIn,
    answer: answers.ProviderSignedIn,
    reasons: [
      'sign-in-over',
      'provider-refused',
      'provider-unavailable',
      'no-group',
      'no-name',
      'user-disabled',
      'too-many-sign-ins',
    ],
  },
  {
    id: 'endProviderSession',
    method: 'get',
    path: '/session/oidc/end',
    summary: 'Sends the browser to where the OpenID provider ends its own session',
    answer: 'redirect',
  },
  {
    id: 'changePassword',
    method: 'put',
    path: '/session/password',
    summary: 'Set the own password; other sessions end',
    body: requests.ChangePassword,
    reasons: ['from-provider'],
  },
  {
    id: 'listSignIns',
    method: 'get',
    path: '/sign-ins',
    summary: 'The last 200 sign-ins, newest first',
    answer: answers.SignInList,
  },
  ...ACTS,
  {
    id: 'getRequest',
    method: 'get',
    path: '/requests/{id}',
    summary: 'What became of a request',
    query: requests.WaitQuery,
    answer: answers.RequestAnswer,
    reasons: ['request-not-found'],
  },
  {
    id: 'getRollout',
    method: 'get',
    path: '/rollouts/{id}',
    summary: 'One rollout with its first containers',
    answer: answers.RolloutAnswer,
    reasons: ['rollout-not-found'],
  },
  {
    id: 'getImageUses',
    method: 'get',
    path: '/images/{ref}/uses',
    summary: 'What needs a version of an image',
    answer: answers.ImageUsesAnswer,
    reasons: ['image-not-found', 'no-answer'],
  },
  {
    id: 'listEvents',
    method: 'get',
    path: '/events',
    summary: 'Requests and facts, newest first; as a stream with `Accept: text/event-stream`',
    query: requests.ListEvents,
    answer: answers.EventList,
  },
  {
    id: 'listAudit',
    method: 'get',
    path: '/audit',
    summary: 'Who did what, newest first',
    query: requests.ListAudit,
    answer: answers.AuditList,
  },
  {
    id: 'listDeadLetters',
    method: 'get',
    path: '/dead-letters',
    summary: 'Messages that no service could take',
    answer: answers.DeadLetterList,
  },
  {
    id: 'retryDeadLetter',
    method: 'post',
    path: '/dead-letters/{sequence}/retry',
    summary: 'Send its request again, and drop it',
    reasons: ['letter-not-found', 'not-replayable'],
  },
  {
    id: 'dropDeadLetter',
    method: 'delete',
    path: '/dead-letters/{sequence}',
    summary: 'Drop it',
    reasons: ['letter-not-found'],
  },
  { id: 'listUsers', method: 'get', path: '/users', summary: 'People', answer: answers.UserList },
  {
    id: 'createUser',
    method: 'post',
    path: '/users',
    summary: 'Add a person',
    body: requests.CreateUser,
    reasons: ['user-exists'],
  },
  {
    id: 'changeUser',
    method: 'patch',
    path: '/users/{name}',
    summary: 'Change role, tenants or password, disable, enable',
    body: requests.ChangeUser,
    reasons: ['user-not-found', 'last-admin', 'from-provider'],
  },
  {
    id: 'endSessions',
    method: 'delete',
    path: '/users/{name}/sessions',
    summary: 'End all sessions of a person',
    reasons: ['user-not-found'],
  },
  {
    id: 'listTokens',
    method: 'get',
    path: '/tokens',
    summary: 'API tokens: the own, of all for an admin',
    answer: answers.TokenList,
  },
  {
    id: 'createToken',
    method: 'post',
    path: '/tokens',
    summary: 'Make an API token; it is shown once',
    body: requests.CreateToken,
    answer: answers.TokenMade,
  },
  { id: 'revokeToken', method: 'delete', path: '/tokens/{id}', summary: 'End a token', reasons: ['token-not-found'] },
];
