/** Every operation of the console's HTTP API: the handlers and the OpenAPI document follow from this list. */
import type { Payload } from '../bus/contract.js';
import * as answers from './answers.js';
import * as requests from './requests.js';

export interface Operation {
  readonly id: string;
  readonly method: 'get' | 'post' | 'put' | 'delete';
  /** Below `/api/v1`; `{id}` for a parameter. */
  readonly path: string;
  readonly summary: string;
  readonly query?: Payload;
  readonly body?: Payload;
  /** Absent: it has no body (204). `stream`: text/event-stream. */
  readonly answer?: Payload | 'stream';
  /** Reason codes of its problems, besides those of every operation. */
  readonly reasons?: readonly string[];
}

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
    id: 'changePassword',
    method: 'put',
    path: '/session/password',
    summary: 'Set the own password; other sessions end',
    body: requests.ChangePassword,
  },
  {
    id: 'listSignIns',
    method: 'get',
    path: '/sign-ins',
    summary: 'The last 200 sign-ins, newest first',
    answer: answers.SignInList,
  },
];
