/** Messages that arrive late, twice, malformed, or long after newer ones. */
import pg from 'pg';
import { loginOptions } from '@plinth/service-kit/messaging';
import { connect } from 'nats';
import type { Stack } from '../stack.js';
import type { Fault } from './fault.js';

/** Publishes with the key of one of the stack's own services. */
async function publishAs(stack: Stack, service: string, subject: string, body: string): Promise<boolean> {
  const { environment } = stack.file().services.find(({ id }) => id === service) ?? {};
  const seed = environment?.['NATS_NKEY_FILE'];
  if (seed === undefined) return false;
  const name = /_INBOX_([^.]+)/.exec(seed)?.[1];
  const connection = await connect({
    servers: stack.file().natsUrl,
    ...loginOptions({ nkeyFile: seed }),
    ...(name !== undefined && { inboxPrefix: `_INBOX_${name}` }),
  });
  connection.publish(subject, body);
  await connection.flush();
  await connection.close();
  return true;
}

async function query<T extends pg.QueryResultRow>(stack: Stack, text: string): Promise<T[]> {
  const client = new pg.Client({ connectionString: stack.file().databaseUrl });
  await client.connect();
  try {
    return (await client.query<T>(text)).rows;
  } finally {
    await client.end();
  }
}

/** An earlier config reaches a host once more, after newer ones: of any container, also of a removed one. */
export const oldConfig: Fault = async ({ stack, random }) => {
  const rows = await query<{ subject: string; data: object }>(
    stack,
    `SELECT subject, data FROM provisioner.outbox_events
      WHERE subject LIKE 'desired.%' AND sent_at IS NOT NULL ORDER BY sequence`,
  );
  const row = random.pick(rows);
  if (!row || !(await publishAs(stack, 'provisioner-1', row.subject, JSON.stringify(row.data)))) return undefined;
  return `an old config again: ${row.subject}`;
};

/** A container as its host reports it, with the number of its last report. */
export interface ReportedContainer {
  readonly id: string;
  readonly host: string;
  readonly image: string;
  readonly reportSequence: number;
}

/**
 * Reports the end of its first generation, under a number below the last one that the provisioner has accepted.
 * @returns undefined for a container that its host has not reported yet: no report of it is old, and the provisioner
 * would accept this one
 */
export function reportBefore({ id, host, image, reportSequence }: ReportedContainer, at: string): object | undefined {
  if (reportSequence < 1) return undefined;
  return {
    host,
    containerId: id,
    kind: 'stopped',
    cause: 'exited',
    generation: 1,
    sequence: 1,
    image,
    at,
  };
}

/** An earlier report of a host reaches the provisioner once more, under another id. */
export const oldReport: Fault = async ({ stack, random }) => {
  const rows = await query<ReportedContainer>(
    stack,
    `SELECT id, host, config->>'image' AS image, report_sequence::float8 AS "reportSequence"
       FROM provisioner.containers WHERE state <> 'removed' ORDER BY ordinal`,
  );
  const row = random.pick(rows);
  const report = row && reportBefore(row, new Date().toISOString());
  if (!row || !report) return undefined;
  const subject = `report.host.${row.host}.container.${row.id}`;
  if (!(await publishAs(stack, `host-agent-${row.host}`, subject, JSON.stringify(report)))) return undefined;
  return `an old report of ${row.id.slice(0, 12)} again`;
};

export const late: Fault = ({ workload, random }) => {
  const ms = random.between(1_000, 8_000);
  return Promise.resolve(`request for ${workload.late(ms)} reaches the bus ${ms} ms late`);
};

export const duplicate: Fault = async ({ workload }) => {
  const id = await workload.repeat();
  return id && `request ${id.slice(0, 12)} sent again`;
};

const MALFORMED = [
  '',
  '{',
  'null',
  '[]',
  '"text"',
  '{"name":7}',
  '{"name":"Bad Name"}',
  '{"name":"x","limits":{"memoryBytes":-1}}',
  `{"name":"${'x'.repeat(5_000)}"}`,
  '{"__proto__":{"name":"x"}}',
  '\u0000\u0001',
];
export const malformed: Fault = async ({ workload, random }) => {
  const body = random.pick(MALFORMED) ?? '';
  await workload.publishRaw('container.requested', body);
  return `malformed request ${JSON.stringify(body.slice(0, 40))}`;
};
