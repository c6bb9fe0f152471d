/** Acts: one handler for all of them, by the list in the contracts. */
import { Body, Controller, Get, Inject, Param, Post, Query, Req, Res, UseGuards } from '@nestjs/common';
import { CONSOLE_ACTS, type ConsoleAct } from '@plinth/contracts';
import { IDEMPOTENCY_KEY_PATTERN, type RequestAnswer, WaitQuery } from '@plinth/contracts/console';
import { Acting } from '../access/acting.js';
import { EventFeed } from '../adapters/event-feed.js';
import { AuditStore } from '../adapters/postgres/audit.store.js';
import type { Person } from '../adapters/postgres/people.store.js';
import { PresentState } from '../adapters/present-state.js';
import { maySeeTenant } from '../domain/access.js';
import { RequestWatch } from '../live/request-watch.js';
import { addressOf, ApiProblem, checked, type Response, type SignedInRequest, withNumbers } from './http.js';
import { Needs, SignedInGuard } from './signed-in.guard.js';

const EVENTS_OF_A_REQUEST = 200;
const PATHS = CONSOLE_ACTS.map(({ path }) => path.slice(1).replace(/\{(\w+)\}/, ':named'));
const PATTERNS = CONSOLE_ACTS.map((act) => ({
  act,
  pattern: new RegExp(`^/api/v1${act.path.replace(/\{\w+\}/, '([^/]+)')}/?$`),
}));

@Controller('api/v1')
@UseGuards(SignedInGuard)
export class ActsController {
  constructor(
    @Inject(Acting) private readonly acting: Acting,
    @Inject(AuditStore) private readonly audit: AuditStore,
    @Inject(RequestWatch) private readonly watch: RequestWatch,
    @Inject(EventFeed) private readonly feed: EventFeed,
    @Inject(PresentState) private readonly present: PresentState,
  ) {}

  @Post(PATHS)
  @Needs('acts')
  async act(
    @Param('named') named: string | undefined,
    @Body() body: unknown,
    @Query() query: Record<string, unknown>,
    @Req() request: SignedInRequest,
    @Res({ passthrough: true }) response: Response,
  ): Promise<RequestAnswer> {
    const { wait = 0 } = checked(WaitQuery, withNumbers(query, 'wait'));
    const outcome = await this.acting.act(request.person, {
      act: actAt(request.url ?? ''),
      named,
      body: objectOf(body),
      key: keyOf(request.headers['idempotency-key']),
      address: addressOf(request),
    });
    if (!outcome.ok) throw new ApiProblem(outcome.reason, outcome.message);
    const answer = await this.answer(request.person, outcome.requestId, wait);
    response.setHeader('location', `/api/v1/requests/${outcome.requestId}`);
    response.statusCode = answer.state === 'pending' ? 202 : 200;
    return answer;
  }

  @Get('requests/:id')
  @Needs('requests')
  one(
    @Param('id') id: string,
    @Query() query: Record<string, unknown>,
    @Req() { person }: SignedInRequest,
  ): Promise<RequestAnswer> {
    const { wait = 0 } = checked(WaitQuery, withNumbers(query, 'wait'));
    return this.answer(person, id, wait);
  }

  private async answer(person: Person, id: string, waitSeconds: number): Promise<RequestAnswer> {
    const missing = new ApiProblem('request-not-found', 'there is no such request; see GET /api/v1/audit');
    let entry = await this.audit.request(id);
    if (!entry || !maySeeTenant(person, entry.tenant ?? undefined)) throw missing;
    if (entry.outcome === 'pending' && waitSeconds > 0) {
      await this.watch.ended(id, waitSeconds * 1_000);
      entry = (await this.audit.request(id)) ?? entry;
    }
    const { act, target, tenant, actor, at, outcome: state, reason, message, endedAt } = entry;
    const asked = { correlation: id, limit: EVENTS_OF_A_REQUEST };
    const found = this.feed.log.find(person, asked, (container) => this.present.tenantOf(container));
    const events = [...found.items].reverse();
    return { id, act, target, tenant, actor, at, state, reason, message, endedAt, events };
  }
}

function actAt(url: string): ConsoleAct {
  const path = url.split('?')[0] ?? '';
  const found = PATTERNS.find(({ pattern }) => pattern.test(path));
  if (!found) throw new ApiProblem('not-found', 'the API has no such path; see docs/openapi.yaml');
  return found.act;
}

function objectOf(body: unknown): Readonly<Record<string, unknown>> {
  if (body === undefined || body === null) return {};
  if (typeof body !== 'object' || Array.isArray(body))
    throw new ApiProblem('invalid-request', 'the body must be an object');
  return body as Record<string, unknown>;
}

function keyOf(header: string | readonly string[] | undefined): string | undefined {
  if (header === undefined) return undefined;
  if (typeof header === 'string' && IDEMPOTENCY_KEY_PATTERN.test(header)) return header;
  throw new ApiProblem('invalid-request', 'Idempotency-Key must be 8 to 100 letters, digits, - and _');
}
