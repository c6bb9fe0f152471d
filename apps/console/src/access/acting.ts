/** Acts: who may, on record before it is published, and published by the key of the person's role. */
import { Inject, Injectable } from '@nestjs/common';
import { canonicalJson, checkPayload, type ConsoleAct, contractOf, ID_PATTERN } from '@plinth/contracts';
import { fieldsByPath, MAX_WHY_LENGTH } from '@plinth/contracts/console';
import { type Logger, LOGGER, newId } from '@plinth/service-kit';
import { createHash } from 'node:crypto';
import { ActBus, ActBusError } from '../adapters/act-bus.js';
import { acts } from '../adapters/metrics.js';
import { type Act, AuditStore } from '../adapters/postgres/audit.store.js';
import type { Person } from '../adapters/postgres/people.store.js';
import { PresentState } from '../adapters/present-state.js';
import { ProvisionerQueries } from '../adapters/provisioner-queries.js';
import { actingRole, actRefusal, maySee } from '../domain/access.js';
import type { ProblemReason } from '../domain/problem.js';
import { targetOf } from '../domain/request-progress.js';
import { RequestWatch } from '../live/request-watch.js';

export interface Asked {
  readonly act: ConsoleAct;
  /** What the path names. */
  readonly named: string | undefined;
  readonly body: Readonly<Record<string, unknown>>;
  /** The event's id; absent: random. */
  readonly key: string | undefined;
  readonly address: string;
}

type Refused = { readonly ok: false; readonly reason: ProblemReason; readonly message: string };
export type ActOutcome = { readonly ok: true; readonly requestId: string } | Refused;

/** Of one person: more refusals in a minute are not recorded one by one. */
const RECORDED_REFUSALS = 60;
const MINUTE_MS = 60_000;
const MOST_PEOPLE = 1_000;

@Injectable()
export class Acting {
  /** By person: refusals that were recorded in the minute that began then, by `performance.now()`. */
  private readonly refusals = new Map<string, { readonly since: number; count: number }>();

  constructor(
    @Inject(ActBus) private readonly bus: ActBus,
    @Inject(AuditStore) private readonly audit: AuditStore,
    @Inject(PresentState) private readonly present: PresentState,
    @Inject(ProvisionerQueries) private readonly queries: ProvisionerQueries,
    @Inject(RequestWatch) private readonly watch: RequestWatch,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  async act(person: Person, asked: Asked): Promise<ActOutcome> {
    const { act, named, address } = asked;
    const given = bodyOf(asked);
    if (!given.ok) return given;
    const { why, body } = given;
    const about = targetOf(act, body);
    const record = { actor: person.name, via: person.via, address, act: act.name, ...about, why };
    const role = actingRole(person.role);
    const byRole = actRefusal(person, act);
    if (byRole !== undefined || !role) return this.refuse(person, record, byRole ?? 'it may do nothing');
    let tenant = about.tenant ?? undefined;
    if (act.name.startsWith('container.') && act.fills !== undefined) {
      tenant = await this.tenantOf(person, named ?? '');
      if (tenant === undefined)
        return {
          ok: false,
          reason: 'container-not-found',
          message: 'there is no such container; see: plinth ps --all',
        };
    } else if (act.name === 'container.create' && body['tenant'] === undefined && person.role === 'developer')
      tenant = person.tenants[0];
    const request = act.name === 'container.create' && tenant !== undefined ? { ...body, tenant } : body;
    const checked = checkPayload<object>(contractOf(act.subject).payload, structuredClone(request));
    if (!checked.ok) {
      const problems = checked.problems.map(({ path, message }) => `${path}: ${message}`);
      return { ok: false, reason: 'invalid-request', message: problems.join('; ').slice(0, 1_000) };
    }
    const refusal = actRefusal(person, act, { tenant, body: request });
    if (refusal !== undefined) return this.refuse(person, { ...record, tenant: tenant ?? null }, refusal);

    const requestId = asked.key ?? newId();
    const digest = createHash('sha256')
      .update(canonicalJson([act.name, request]))
      .digest();
    const known = await this.audit.asked({ ...record, tenant: tenant ?? null, requestId, digest });
    if (known === 'other')
      return {
        ok: false,
        reason: 'key-in-use',
        message: 'this Idempotency-Key stands for another request; use a new one',
      };
    if (known === 'lost')
      return {
        ok: false,
        reason: 'key-in-use',
        message: 'it is on record that the bus never received this request; send it again with a new Idempotency-Key',
      };
    this.watch.follow(requestId, act.name);
    try {
      // Also when it was asked before: the console may have died before it was published. The bus takes an id once.
      const publisher = await this.bus.publisher(role);
      await publisher.publishUnchecked(act.subject, request, { id: requestId, actor: person.name });
    } catch (error) {
      this.logger.warn({ err: error, requestId, act: act.name }, 'a request was not published');
      const what = error instanceof ActBusError ? error.message : 'the bus did not take it';
      const next = `send it again with Idempotency-Key ${requestId}`;
      return { ok: false, reason: 'unavailable', message: `${what}; ${next}` };
    }
    acts.inc({ act: act.name, outcome: 'published' });
    this.logger.info({ actor: person.name, via: person.via, act: act.name, ...about, requestId }, 'a person acts');
    return { ok: true, requestId };
  }

  /** On record, and not more often than {@link RECORDED_REFUSALS} in a minute. */
  async refuse(person: Person, act: Act, message: string): Promise<Refused> {
    acts.inc({ act: act.act, outcome: 'refused' });
    const now = performance.now();
    for (const [name, { since }] of this.refusals) if (now - since > MINUTE_MS) this.refusals.delete(name);
    const counted = this.refusals.get(person.name) ?? { since: now, count: 0 };
    counted.count++;
    if (this.refusals.size < MOST_PEOPLE) this.refusals.set(person.name, counted);
    if (counted.count <= RECORDED_REFUSALS)
      await this.audit.settled(act, { outcome: 'refused', reason: 'role-not-allowed', message });
    return { ok: false, reason: 'role-not-allowed', message };
  }

  /** @returns undefined: there is no such container for this person */
  private async tenantOf(person: Person, id: string): Promise<string | undefined> {
    if (!ID_PATTERN.test(id)) return undefined;
    const known = this.present.state.get('containers', id);
    if (known) return maySee(person, 'containers', known) ? known.tenant : undefined;
    const reply = await this.queries.container(id);
    return reply.ok && maySee(person, 'containers', reply.data) ? reply.data.tenant : undefined;
  }
}

/** The request's body with what the path names, and the person's reason apart from it. */
function bodyOf({
  act,
  named,
  body,
}: Asked):
  | Refused
  | { readonly ok: true; readonly why: string | null; readonly body: Readonly<Record<string, unknown>> } {
  const invalid = (message: string): Refused => ({ ok: false, reason: 'invalid-request', message });
  const { reason: why, ...rest } = body;
  if (why !== undefined && (typeof why !== 'string' || why.length > MAX_WHY_LENGTH))
    return invalid(`reason: must be a text of at most ${MAX_WHY_LENGTH} characters`);
  const twice = fieldsByPath(act).find((field) => Object.hasOwn(rest, field));
  if (twice !== undefined) return invalid(`${twice}: the path names it`);
  return {
    ok: true,
    why: why ?? null,
    body: {
      ...rest,
      ...(act.fills === undefined ? {} : { [act.fills]: named }),
      // Of a revocation the reason is for those who ask why nothing starts on the version.
      ...(act.name === 'image.revoke' && why !== undefined ? { reason: why } : {}),
    },
  };
}
