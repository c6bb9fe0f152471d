/** What a rollout waits for before its first batch: the image wherever one of its containers will need it. */
import type { HostLack, PlannedMember, RolloutDecision, RolloutStep, RolloutView } from './rollout-view.js';

const DEFAULT_STAGING_SECONDS = 1_800;
/** Reason of a member that was left out because its host or storage node did not get the image in time. */
export const NOT_STAGED = 'image-not-staged';
/** Hosts that a message names. */
const NAMED_HOSTS = 5;

export function planStaging(view: RolloutView, nowMs: number): RolloutDecision {
  if (view.withdrawn.length > 0)
    return {
      steps: [
        { kind: 'become', state: 'aborted', message: `${view.withdrawn.join(', ')} can't be started on any more` },
      ],
      wait: null,
    };
  const { lacking } = view.ownStores;
  if (view.unstaged.length === 0 && lacking.length === 0)
    return {
      steps: [{ kind: 'become', state: 'rolling', message: 'every host and storage node involved has the image' }],
      wait: null,
    };
  if (nowMs < stagedUntilMs(view)) return { steps: [], wait: { reason: NOT_STAGED, message: waitingFor(view) } };
  const steps = view.members.flatMap((member) => leftOut(member, view));
  if (steps.length === 0) return { steps, wait: { reason: NOT_STAGED, message: lacks(view) } };
  const { pending, updated } = view.tally.counts;
  const isNobodyLeft = steps.length === pending && updated === 0;
  const end: RolloutStep = { kind: 'become', state: 'aborted', message: `nobody got the image: ${lacks(view)}` };
  return { steps: isNobodyLeft ? [...steps, end] : steps, wait: null };
}

/** From this time on what is not staged is left out; milliseconds since the epoch. */
export function stagedUntilMs({ changedAtMs, request }: Pick<RolloutView, 'changedAtMs' | 'request'>): number {
  return changedAtMs + (request.stagingSeconds ?? DEFAULT_STAGING_SECONDS) * 1_000;
}

function leftOut(member: PlannedMember, view: RolloutView): readonly RolloutStep[] {
  if (member.phase !== 'pending') return [];
  const host = view.ownStores.lacking.find((lack) => lack.host === member.host && lack.image === member.toImage);
  const problem = host
    ? describe(host)
    : view.unstaged.some((lack) => lack.storageNode === member.storageNode && lack.image === member.toImage)
      ? member.storageNode
      : undefined;
  if (problem === undefined) return [];
  const message = `${problem} did not get ${member.toImage} in time; it is on ${member.image}`;
  return [{ kind: 'settle', ordinal: member.ordinal, phase: 'skipped', reason: NOT_STAGED, message }];
}

function waitingFor(view: RolloutView): string {
  const until = `until ${new Date(stagedUntilMs(view)).toISOString()}`;
  return `${lacks(view)}; ${until}, then their containers are left out`;
}

function lacks({ unstaged, ownStores: { hosts, lacking } }: RolloutView): string {
  const parts = unstaged.map(({ storageNode, image }) => `${storageNode} lacks ${image}`);
  for (const image of new Set(lacking.map((lack) => lack.image))) {
    // Those with a problem first: somebody may solve it.
    const of = lacking.filter((lack) => lack.image === image);
    const named = [...of.filter(({ problem }) => problem !== null), ...of.filter(({ problem }) => problem === null)];
    const names = named.slice(0, NAMED_HOSTS).map(describe).join(', ');
    const others = named.length > NAMED_HOSTS ? ' and others' : '';
    const which = new Set(lacking.map((lack) => lack.image)).size > 1 ? '' : ` of ${hosts}`;
    parts.push(`waiting for ${of.length}${which} hosts to have ${image}: ${names}${others}`);
  }
  return parts.join('; ');
}

function describe({ host, problem }: HostLack): string {
  return problem === null ? host : `${host} (${problem})`;
}
