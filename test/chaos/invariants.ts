/** The invariants after the last fault, checked from outside: events, processes, cgroups, mounts, files, database. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { containerCgroups, containerOf, mountLines, type Stack } from '../stack.js';
import { endsWithoutCause } from './ends.js';
import { containerProcesses } from './faults.js';
import type { Rig } from './rig.js';
import type { SentRequest, Workload } from './workload.js';

interface Row {
  readonly id: string;
  readonly name: string;
  readonly state: string;
  readonly desired: string;
  readonly host: string;
  readonly storageNode: string;
  readonly pid: number | null;
}
interface StoredFact {
  readonly subject: string;
  readonly id: string;
  readonly correlationId: string;
  readonly time: string;
  readonly data: Readonly<Record<string, unknown>>;
}

const SETTLED = ['running', 'stopped', 'failed', 'removed'];
const SETTLE_MS = 120_000;
/** Longer than the bus waits for an acknowledgement. */
const ANSWER_MS = 60_000;

/** @returns one line per violation */
export async function violations(
  { stack, disks }: Rig,
  tenant: string,
  { sent, ended }: Pick<Workload, 'sent' | 'ended'>,
): Promise<string[]> {
  const found: string[] = [];
  await answered(stack, sent);
  const always = new Set(sent.flatMap(({ name, body }) => (body.includes('"policy":"always"') ? [name] : [])));
  const rows = await settledRows(stack, tenant, always);
  for (const row of rows.filter(
    ({ name, state, desired }) => state === 'failed' && desired === 'running' && always.has(name),
  ))
    found.push(`not converged: ${row.name} is always to run, and has failed`);
  for (const row of rows.filter(({ state }) => !SETTLED.includes(state)))
    found.push(
      `not converged: ${row.name} is ${row.state}, desired ${row.desired}, ${SETTLE_MS / 1000} s after the last fault`,
    );
  found.push(...desiredIsActual(stack, rows));
  found.push(...leaks(stack, rows, disks.mountPoints()));
  found.push(...dataKept(stack, rows));
  found.push(...overlaps(stack));
  found.push(...(await givenOutTwiceOrLost(stack)));
  // In this order: a fact that is committed after the first query may reach the bus only after the second.
  const committed = await committedFacts(stack);
  const facts = await storedFacts(stack);
  found.push(...answers(facts, sent), ...endsWithoutCause(facts, ended));
  found.push(...published(committed, facts));
  const status = await stack.plinth('status');
  if (status.code !== 0) found.push(`not healthy: ${status.stdout}${status.stderr}`);
  return found;
}

/** @param always names of containers with the restart policy `always` */
async function settledRows(stack: Stack, tenant: string, always: ReadonlySet<string>): Promise<Row[]> {
  for (const deadline = Date.now() + SETTLE_MS; ; await new Promise((resolve) => setTimeout(resolve, 500))) {
    const ran = await stack.plinth('ps', '--all', '--tenant', tenant, '--json');
    const rows = ran.code === 0 ? (JSON.parse(ran.stdout) as Row[]) : [];
    const done =
      ran.code === 0 &&
      rows.every(
        (row) =>
          SETTLED.includes(row.state) &&
          isAsDesired(row) &&
          (row.state !== 'failed' || !always.has(row.name)) &&
          (row.state !== 'running' || alive(row.pid)),
      );
    if (done || Date.now() > deadline) return rows;
  }
}

function isAsDesired({ desired, state }: Row): boolean {
  if (desired === 'removed') return state === 'removed';
  // A container that has failed for good stays so.
  return state === 'failed' || (desired === 'stopped' ? state === 'stopped' : state === 'running');
}

const alive = (pid: number | null): boolean => pid !== null && existsSync(`/proc/${pid}`);

function desiredIsActual(stack: Stack, rows: readonly Row[]): string[] {
  const monitors = containerProcesses(stack.home, 'monitor');
  const inits = containerProcesses(stack.home, 'init');
  return rows.flatMap((row) => {
    const found: string[] = [];
    const own = inits.filter(({ id }) => id === row.id);
    if (row.desired === 'running' && row.state === 'stopped')
      found.push(`desired is not actual: ${row.name} is to run and is stopped`);
    if (row.desired === 'stopped' && row.state === 'running')
      found.push(`desired is not actual: ${row.name} is to be stopped and runs`);
    if (row.state === 'running' && !alive(row.pid))
      found.push(`a process is missing: ${row.name} is reported to run as ${row.pid}`);
    if (row.state !== 'running' && own.length > 0)
      found.push(`a process is left: ${row.name} is ${row.state} and has ${own.map(({ pid }) => pid).join(', ')}`);
    if (own.length > 1 || monitors.filter(({ id }) => id === row.id).length > 1) found.push(`runs twice: ${row.name}`);
    return found;
  });
}

function leaks(stack: Stack, rows: readonly Row[], mountPoints: readonly string[]): string[] {
  const running = new Set(rows.filter(({ state }) => state === 'running').map(({ id }) => id));
  const ours = new Set(rows.map(({ id }) => id));
  const cgroups = containerCgroups().filter((path) => ours.has(containerOf(path)) && !running.has(containerOf(path)));
  const mounts = mountLines().filter(
    (line) => line.includes(stack.home) && !mountPoints.includes(line.split(' ')[1] ?? ''),
  );
  const monitors = containerProcesses(stack.home, 'monitor').filter(({ id }) => !running.has(id));
  const staged = ['sn-1', 'sn-2'].flatMap((node) =>
    readdirSync(join(stack.home, 'storage', node, 'images'))
      .filter(
        (name) => name.startsWith('.') && readdirSync(join(stack.home, 'storage', node, 'images', name)).length > 0,
      )
      .map((name) => `${node}/${name}`),
  );
  const halves = ['sn-1', 'sn-2'].flatMap((node) =>
    readdirSync(join(stack.home, 'storage', node, 'staging')).map((name) => `${node}/staging/${name}`),
  );
  return [
    ...halves.map((path) => `something is left in the staging folder: ${path}`),
    ...cgroups.map((path) => `a cgroup is left: ${path}`),
    ...mounts.map((line) => `a mount is left: ${line}`),
    ...monitors.map(({ pid, id }) => `a monitor is left: ${pid} of ${id}`),
    ...staged.map((path) => `a half-extracted image is left: ${path}`),
  ];
}

/** The container itself writes each start into its own volume. */
function dataKept(stack: Stack, rows: readonly Row[]): string[] {
  return rows
    .filter(({ state }) => state === 'running')
    .flatMap((row) => {
      const volumes = join(stack.home, 'storage', row.storageNode, 'volumes');
      const own = readdirSync(volumes).find(
        (volume) =>
          existsSync(join(volumes, volume, 'volume.json')) &&
          readFileSync(join(volumes, volume, 'volume.json'), 'utf8').includes(row.id),
      );
      if (own === undefined) return [`data is lost: ${row.name} has no volume`];
      const path = join(volumes, own, 'data/starts');
      const lines = existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n') : [];
      return lines.length > 0 && lines.every((line) => line === row.name)
        ? []
        : [`data is wrong: ${row.name} wrote ${JSON.stringify(lines.slice(0, 3))}`];
    });
}

/** Each run writes a line every second: lines after the next run has begun prove two runs on one volume. */
function overlaps(stack: Stack): string[] {
  return ['sn-1', 'sn-2'].flatMap((node) => {
    const volumes = join(stack.home, 'storage', node, 'volumes');
    return readdirSync(volumes).flatMap((volume) => {
      const path = join(volumes, volume, 'data/ticks');
      if (!existsSync(path)) return [];
      const runs = new Map<string, { readonly first: number; last: number }>();
      for (const line of readFileSync(path, 'utf8').trim().split('\n')) {
        // A full disk cuts lines off.
        const [, run = '', up = ''] = /^([0-9a-f-]{36}) (\d+\.\d+)$/.exec(line) ?? [];
        if (run === '') continue;
        const known = runs.get(run);
        if (known) known.last = Number(up);
        else runs.set(run, { first: Number(up), last: Number(up) });
      }
      const ordered = [...runs.values()].sort((a, b) => a.first - b.first);
      const twice = ordered.findIndex((run, index) => run.last > (ordered[index + 1]?.first ?? Infinity));
      return twice < 0 ? [] : [`ran twice: ${node}/${volume} at ${ordered[twice + 1]?.first} s after the boot`];
    });
  });
}

/**
 * Waits for the answers: a message that a killed process was handling is delivered again half a minute later, and has
 * no container before.
 */
async function answered(stack: Stack, sent: readonly SentRequest[]): Promise<void> {
  for (const deadline = Date.now() + ANSWER_MS; ; await new Promise((resolve) => setTimeout(resolve, 2_000))) {
    const missing = answers(await storedFacts(stack), sent).filter((line) => line.startsWith('no answer'));
    if (missing.length === 0 || Date.now() > deadline) return;
  }
}

async function storedFacts(stack: Stack): Promise<StoredFact[]> {
  const ran = await stack.plinth('events', '--since', '12h', '--json');
  return ran.stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as StoredFact);
}

/** Every request for a container has one answer, and only one. */
function answers(facts: readonly StoredFact[], sent: readonly SentRequest[]): string[] {
  const firsts = new Map<string, Set<string>>();
  for (const { subject, id, data } of facts) {
    if (subject !== 'container.configured' && !(subject === 'container.rejected' && data['operation'] === 'create'))
      continue;
    const request = String(data['requestId']);
    firsts.set(request, (firsts.get(request) ?? new Set()).add(id));
  }
  return sent
    .filter(({ subject }) => subject === 'container.requested')
    .flatMap(({ id, name }) => {
      const count = firsts.get(id)?.size ?? 0;
      return count === 1
        ? []
        : [`${count === 0 ? 'no answer' : `${count} answers`} to the request for ${name} (${id})`];
    });
}

interface Committed {
  readonly unsent: number;
  readonly facts: readonly { readonly id: string; readonly subject: string }[];
}

async function committedFacts(stack: Stack): Promise<Committed> {
  const client = new pg.Client({ connectionString: stack.file().databaseUrl });
  await client.connect();
  try {
    const facts = await client.query<{ id: string; subject: string }>(
      `SELECT id, subject FROM provisioner.outbox_events
        WHERE sent_at IS NOT NULL AND subject ~ '^(container|host|rollout)[.]'`,
    );
    // Only old ones: newer ones may be on their way, or those of a provisioner that was killed.
    const unsent = await client.query<{ count: number }>(
      `SELECT count(*)::int AS count FROM provisioner.outbox_events
        WHERE sent_at IS NULL AND created_at < now() - interval '15 seconds'`,
    );
    return { unsent: unsent.rows[0]?.count ?? -1, facts: facts.rows };
  } finally {
    await client.end();
  }
}

/** An address or a host port belongs to a container that is not removed and has it in its config, and to that only. */
async function givenOutTwiceOrLost(stack: Stack): Promise<string[]> {
  const client = new pg.Client({ connectionString: stack.file().databaseUrl });
  await client.connect();
  try {
    const { rows } = await client.query<{ what: string; given: string | null; had: string | null }>(
      `WITH present AS (SELECT id, host, config FROM provisioner.containers WHERE state <> 'removed'),
       given AS (
         SELECT host(ipv4) AS what, container_id AS id FROM provisioner.addresses WHERE container_id IS NOT NULL
         UNION ALL SELECT concat_ws(' ', h.host, h.protocol, h.port), h.container_id FROM provisioner.host_ports h
           LEFT JOIN present p ON p.id = h.container_id WHERE p.host IS NULL OR p.host = h.host),
       had AS (
         SELECT config->'address'->>'ipv4' AS what, id FROM present WHERE config ? 'address'
         UNION ALL SELECT concat_ws(' ', host, port->>'protocol', port->>'hostPort'), id
           FROM present, jsonb_array_elements(coalesce(config->'ports', '[]')) port)
       SELECT coalesce(given.what, had.what) AS what, given.id AS given, had.id AS had
         FROM given FULL JOIN had ON given.what = had.what WHERE given.id IS DISTINCT FROM had.id`,
    );
    return rows.map(({ what, given, had }) => `${what} is given to ${given ?? 'none'}, and ${had ?? 'none'} has it`);
  } finally {
    await client.end();
  }
}

/**
 * The transport itself answers messages that never reach a handler; no database has these answers. A bus that is killed
 * while it writes down an acknowledgement forgets it and delivers the message again; after ten minutes it stores the
 * answer, which has the same id, a second time.
 */
function isAnsweredWithoutCommit({ subject, data }: StoredFact): boolean {
  return subject.endsWith('.rejected') && ['invalid-request', 'internal-error'].includes(String(data['reason']));
}

/** Every committed fact was published once, under its own id, and none waits. */
function published(committed: Committed, facts: readonly StoredFact[]): string[] {
  const ids = new Set(facts.map(({ id }) => id));
  const missing = committed.facts.filter(({ id }) => !ids.has(id));
  const known = new Set(committed.facts.map(({ id }) => id));
  const counts = new Map<string, number>();
  for (const fact of facts)
    if (!fact.subject.endsWith('.requested') && (known.has(fact.id) || !isAnsweredWithoutCommit(fact)))
      counts.set(fact.id, (counts.get(fact.id) ?? 0) + 1);
  const twice = [...counts].filter(([, count]) => count > 1);
  return [
    ...(committed.unsent === 0 ? [] : [`${committed.unsent} committed events were not published`]),
    ...missing
      .slice(0, 5)
      .map(
        ({ id, subject }) => `a committed fact is not on the bus: ${subject} ${id} (and ${missing.length - 1} more)`,
      ),
    ...twice.slice(0, 5).map(
      ([id, count]) =>
        `a fact is on the bus ${count} times: ${id} ${facts
          .filter((fact) => fact.id === id)
          .map(({ subject, time, data }) => `${subject} ${time} ${String(data['reason'] ?? '')}`)
          .join(', ')} (and ${twice.length - 1} more)`,
    ),
  ];
}
