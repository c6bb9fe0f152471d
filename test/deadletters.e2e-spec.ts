/** Dead letters through the tool: a request that a service could not handle is listed, shown, sent again, dropped. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { join } from 'node:path';
import { loginOptions } from '@plinth/service-kit/messaging';
import { connect, headers } from 'nats';
import { type Ran, Stack } from './stack.js';

const stack = new Stack();
const json = <T>(ran: Ran): T => {
  if (ran.code !== 0) throw new Error(`ended with ${ran.code}: ${ran.stderr}`);
  return JSON.parse(ran.stdout) as T;
};
interface Letter {
  readonly sequence: number;
  readonly subject: string;
  readonly reason: string;
}
const ls = async (): Promise<Letter[]> => json(await stack.plinth('deadletters', 'ls', '--json'));

/** Puts a request aside as the provisioner does when it can't handle one. */
async function putAside(id: string, body: object, messageId = id): Promise<void> {
  const { natsUrl } = stack.file();
  const connection = await connect({
    servers: natsUrl,
    ...loginOptions({ nkeyFile: join(stack.home, 'access', 'seeds', 'provisioner.nk') }),
  });
  const bytes = Buffer.from(JSON.stringify(body));
  const envelope = headers();
  envelope.set('ce-id', id);
  const letter = {
    subject: 'container.requested',
    stream: 'PLINTH_EVENTS',
    sequence: 1,
    eventId: 'e'.repeat(32),
    reason: 'internal-error',
    problems: [],
    attempts: 5,
    bytes: bytes.length,
    body: bytes.toString('base64'),
  };
  await connection
    .jetstream()
    .publish('deadletter.provisioner', JSON.stringify(letter), { msgID: messageId, headers: envelope });
  await connection.close();
}

beforeAll(() => stack.up(1));
afterAll(async () => {
  await stack.down();
});

it('are listed, shown without secrets, and dropped', async () => {
  await stack.jetstream().publish('container.requested', '{"env":{"TOKEN":"hush"},"name":');
  await stack.fact(({ subject, data }) => subject === 'container.rejected' && data['reason'] === 'invalid-request');
  await putAside('1'.repeat(32), { name: 'shop', env: { TOKEN: 'hush' } });
  const letters = await ls();
  expect(letters.map(({ subject }) => subject)).toContain('container.requested');
  const cut = letters.find(({ reason }) => reason !== 'internal-error');
  expect((await stack.plinth('deadletters', 'show', String(cut?.sequence))).stdout).not.toContain('hush');
  const ours = letters.find(({ reason }) => reason === 'internal-error');
  const shown = await stack.plinth('deadletters', 'show', String(ours?.sequence));
  expect(shown.stdout).toContain('TOKEN');
  expect(shown.stdout).not.toContain('hush');
  expect(json(await stack.plinth('deadletters', 'drop', String(ours?.sequence), '--json'))).toEqual({
    dropped: [ours?.sequence],
    missing: [],
  });
  expect((await ls()).map(({ sequence }) => sequence)).not.toContain(ours?.sequence);
  const listed = async (...words: string[]): Promise<Letter[]> =>
    json(await stack.plinth('deadletters', 'ls', ...words, '--json'));
  expect(await listed('--reason', 'internal-error')).toEqual([]);
  expect(await listed('--subject', 'container.requested', '--service', 'provisioner', '--limit', '1')).toHaveLength(1);
  const gone = await stack.plinth('deadletters', 'drop', String(ours?.sequence));
  expect(gone).toMatchObject({ code: 1 });
  expect(gone.stderr).toContain('plinth deadletters ls');
});

it('that are requests are sent again once, and answered; broken ones are not', async () => {
  await putAside('2'.repeat(32), { name: 'again' });
  const letter = (await ls()).find(({ reason }) => reason === 'internal-error');
  const sent = json<{ requestId: string }[]>(
    await stack.plinth('deadletters', 'replay', String(letter?.sequence), '--json'),
  );
  expect(sent).toHaveLength(1);
  const answer = await stack.fact(({ data }) => data['requestId'] === sent[0]?.requestId);
  expect(answer).toMatchObject({ subject: 'container.rejected', data: { reason: expect.any(String) } });
  expect((await ls()).filter(({ reason }) => reason === 'internal-error')).toEqual([]);
  const answers = stack.facts.filter(({ data }) => data['requestId'] === sent[0]?.requestId).length;
  // Put aside again, as if the tool had been killed between the request and the drop; the message id differs, or the
  // bus would drop it.
  await putAside('2'.repeat(32), { name: 'again' }, '3'.repeat(32));
  const left = (await ls()).find(({ reason }) => reason === 'internal-error');
  expect(json(await stack.plinth('deadletters', 'replay', String(left?.sequence), '--json'))).toEqual([
    expect.objectContaining({ requestId: sent[0]?.requestId }),
  ]);
  await putAside('4'.repeat(32), { name: 'other' });
  const other = json<{ requestId: string }[]>(
    await stack.plinth('deadletters', 'replay', '--all', '--reason', 'internal-error', '--json'),
  );
  await stack.fact(({ data }) => data['requestId'] === other[0]?.requestId);
  expect(stack.facts.filter(({ data }) => data['requestId'] === sent[0]?.requestId)).toHaveLength(answers);
  const broken = (await ls()).find(({ reason }) => reason !== 'internal-error');
  const refused = await stack.plinth('deadletters', 'replay', String(broken?.sequence));
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain('no JSON');
  expect(json(await stack.plinth('deadletters', 'drop', '--all', '--json'))).toMatchObject({ missing: [] });
  expect(await ls()).toEqual([]);
  expect((await stack.plinth('status')).stdout).toMatch(/dead letters +0/);
});

it.each([[['replay']], [['drop']], [['show', 'x']], [['replay', '0']]])(
  '%j is wrong usage, and nothing is sent',
  async (words) => {
    const ran = await stack.plinth('deadletters', ...words);
    expect(ran.code).toBeGreaterThan(0);
    expect(ran.stderr).toMatch(/number/);
  },
);
