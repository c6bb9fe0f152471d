/** Differences between images, and the plan of a start, for people. */
import type { CutList, FileChange, ImageDiff, ImagePlan, PackageChange, WritablePlace } from '@plinth/contracts';
import { type Cell, bytes, counted, table } from './table.js';

/** @param leftOut files that are not in the list */
export function describeDiff(diff: ImageDiff, leftOut: number): string {
  const { from, to, files } = diff;
  const etc = diff.etc.items.slice(0, MOST_ETC);
  const sides: [string, Cell, Cell][] = [
    ['content', from.contentDigest.slice(0, 19), to.contentDigest.slice(0, 19)],
    ['state', from.state, to.state],
    ['entries', from.entries, to.entries],
    ['unpacked', bytes(from.unpackedBytes), bytes(to.unpackedBytes)],
    ['archive', bytes(from.archiveBytes), bytes(to.archiveBytes)],
    ...diff.settings.map((setting): [string, Cell, Cell] => [setting.what, setting.from, setting.to]),
    ...diff.environment.items.map((variable): [string, Cell, Cell] => [
      `env ${variable.name}`,
      variable.from,
      variable.to,
    ]),
    ...diff.places.map((place): [string, Cell, Cell] => [
      `place ${place.path}`,
      placeText(place.from),
      placeText(place.to),
    ]),
  ];
  return [
    table(['WHAT', from.image, to.image], sides) + missing(diff.environment, 'variables'),
    describePackages(diff.packages),
    `files: ${files.added} added, ${files.removed} removed, ${files.changed} changed` +
      (files.touched > 0 ? `; ${files.touched} differ only in their time` : ''),
    ...(files.items.length > 0 ? [fileTable(files.items)] : []),
    ...(leftOut > 0 ? [`… and ${counted(leftOut, 'more file', 'more files')}; --files lists all`] : []),
    // When no file is left out, these are among the files above.
    ...(leftOut > 0 && diff.etc.items.length > 0
      ? [
          `of these in /etc: ${diff.etc.total}\n${fileTable(etc)}` +
            missing({ items: etc, total: diff.etc.total }, 'files'),
        ]
      : []),
  ].join('\n\n');
}

const MOST_ETC = 100;

function describePackages({ unknownOf, added, removed, changed }: ImageDiff['packages']): string {
  if (unknownOf.length > 0)
    return `packages: not recorded when ${unknownOf.join(' and ')} ${unknownOf.length > 1 ? 'were' : 'was'} built`;
  const head = `packages: ${added.total} added, ${removed.total} removed, ${changed.total} changed`;
  const rows = [added, removed, changed].flatMap(({ items }) => items).sort((a, b) => (a.name < b.name ? -1 : 1));
  const lists: CutList<PackageChange> = { items: rows, total: added.total + removed.total + changed.total };
  return rows.length === 0
    ? head
    : `${head}\n${table(
        ['PACKAGE', 'ARCHITECTURE', 'FROM', 'TO'],
        rows.map((change) => [change.name, change.architecture, change.from, change.to]),
      )}${missing(lists, 'packages')}`;
}

function fileTable(changes: readonly FileChange[]): string {
  const sign = { added: '+', removed: '-', changed: '~' };
  return table(
    ['', 'PATH', 'WHAT', 'FROM', 'TO'],
    changes.map(({ path, change, aspects, fromBytes, toBytes }) => [
      sign[change],
      path,
      change === 'changed' ? aspects.join(',') : change,
      bytes(fromBytes),
      bytes(toBytes),
    ]),
  );
}

function placeText(place: WritablePlace | null): string | null {
  return place && `${place.content}, ${bytes(place.bytes)}, ${place.inodes} inodes, mode ${place.mode.toString(8)}`;
}

function missing(list: CutList<unknown>, what: string): string {
  const left = list.total - list.items.length;
  return left > 0 ? `\n… and ${left} more ${what}` : '';
}

export function describePlan(plan: ImagePlan): string {
  const { limits, mountScript } = plan;
  const rows: [string, Cell][] = [
    ['image', plan.image],
    ['for', plan.container ?? 'a container without a config of its own'],
    ['root', `${plan.root.path}, ${plan.root.readOnly ? 'read-only' : 'writable'}`],
    ['command', JSON.stringify(plan.command)],
    ['in', plan.workingDirectory],
    ['as', `${plan.user.name} (${[plan.user.uid, plan.user.gid, ...plan.user.additionalGids].join(':')})`],
    ['exposed ports', plan.exposedPorts.join(' ') || null],
    ['host name', plan.hostname],
    ['time zone', plan.timezone],
    ['stop signal', plan.stopSignal],
    ['network', plan.network],
    [
      'limits',
      limits.memoryBytes === null
        ? null
        : `${bytes(limits.memoryBytes)}, ${limits.cpus ?? '-'} ${limits.cpus === 1 ? 'core' : 'cores'}, ` +
          `${limits.pids ?? '-'} processes`,
    ],
  ];
  const mounts = plan.mounts.map((mount, index) => [
    index + 1,
    mount.destination,
    mount.type,
    mount.bytes === null ? null : bytes(mount.bytes),
    mount.source,
    mount.describe,
    mount.options.join(','),
  ]);
  const script = mountScript
    ? [
        `then the image's own mount script makes the others, within ${mountScript.deadlineSeconds} s: ` +
          `${mountScript.argv.join(' ')}\n` +
          table(['IT RECEIVES', 'VALUE'], Object.entries(mountScript.told)),
      ]
    : [];
  return [
    table(['WHAT', 'VALUE'], rows),
    table(['', 'MOUNT', 'TYPE', 'SIZE', 'SOURCE', 'WHAT', 'OPTIONS'], mounts),
    ...script,
    table(
      ['FILE OVER /etc', 'HOLDS'],
      plan.etc
        .filter(({ type }) => type !== 'directory')
        .map((entry) => [
          entry.path,
          entry.type === 'symlink' ? `→ ${entry.content ?? ''}` : oneLine(entry.content ?? ''),
        ]),
    ),
    table(
      ['VARIABLE', 'VALUE'],
      plan.environment.map((variable) => [
        variable.slice(0, variable.indexOf('=')),
        variable.slice(variable.indexOf('=') + 1),
      ]),
    ),
  ].join('\n\n');
}

/** Files of many lines hold the environment, which is printed below. */
function oneLine(content: string): string {
  const lines = content.trimEnd().split('\n');
  return lines.length > 1 ? `${lines.length} variables` : (lines[0] ?? '');
}
