/** Why a container is where it is, or would be, in words. */
import {
  excludedText,
  type ExplainedHost,
  type PlacementPreview,
  type PlacementRecord,
  type ScorePart,
} from '@plinth/contracts';
import { counted, table } from './table.js';

/** Rows of plinth inspect. */
export function placementRows(placement: PlacementRecord | null | undefined): [string, string | null][] {
  if (!placement) return [];
  const { host, policy, hosts, lookedAt, scores, excluded } = placement;
  const drawn = lookedAt < hosts ? `${lookedAt} drawn of ${counted(hosts, 'host')}` : counted(hosts, 'host');
  return [
    ['placed', `on ${host} at ${placement.at}: ${policy} among ${drawn}`],
    ['scores', scores.map(({ host: name, score }) => `${name} ${score}`).join(', ')],
    ['left out', excluded.map(({ filter, count }) => excludedText(filter, count)).join(', ') || null],
  ];
}

/** The whole answer of plinth place. */
export function describePreview(preview: PlacementPreview): string {
  const { host, policy, hosts, fitting, image, ranked, excluded, explained, reason, message } = preview;
  const head =
    host === null
      ? `it would be refused (${reason}): ${message}`
      : `it would be placed on ${host}, with ${image}: ${policy} among ${fitting} of ${counted(hosts, 'host')} that fit`;
  const best = table(
    ['HOST', 'SCORE', 'WHAT IT COUNTS'],
    ranked.map((each) => [each.host, each.score, describeParts(each.parts)]),
  );
  const others = table(
    ['LEFT OUT', 'HOSTS', 'WHY THE FIRST'],
    excluded.map((each) => [
      excludedText(each.filter, each.count),
      `${each.hosts.join(', ')}${each.count > each.hosts.length ? ', …' : ''}`,
      each.why,
    ]),
  );
  return [
    head,
    ...(ranked.length > 0 ? [best] : []),
    ...(excluded.length > 0 ? [others] : []),
    ...(explained ? [describeHost(explained, fitting)] : []),
  ].join('\n\n');
}

function describeHost({ host, fits, why, rank, score, parts = [] }: ExplainedHost, fitting: number): string {
  if (!fits) return `${host} does not get it: ${why}`;
  return `${host} fits: number ${rank} of ${fitting}, score ${score} (${describeParts(parts) || 'the policy counts nothing'})`;
}

/** `room 0.93, load 0.4 × 0.87` */
function describeParts(parts: readonly ScorePart[]): string {
  return parts.map(({ name, weight, value }) => `${name} ${weight === 1 ? '' : `${weight} × `}${value}`).join(', ');
}
