/** What people do in the page, on a real provisioner: a rollout from its canary to its revert, a drain, a developer. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { agentLogs, type ContainerStatus, SUBJECTS } from '@plinth/contracts';
import {
  ScriptedHosts,
  scratchDirectory,
  ServiceProcess,
  startNats,
  startPostgres,
  type TestServer,
} from '@plinth/testkit';
import { EventPublisher, newId } from '@plinth/service-kit/messaging';
import { connect, type NatsConnection } from 'nats';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Browser, chromium, type Locator, type Page } from 'playwright-core';
import type { Role } from './domain/access.js';
import { chromiumPath } from './testing/chromium.js';
import { ConsoleApi } from './testing/console-api.js';
import { picture, violations } from './testing/looks.js';
import { serveLogs } from './testing/scripted-logs.js';

const PATIENCE_MS = 60_000;
const CONTAINERS = 6;
const scratch = scratchDirectory();
const secret = randomBytes(32);
const messages: string[] = [];
let nats: TestServer;
let postgres: TestServer;
let bus: NatsConnection;
let hosts: ScriptedHosts;
let provisioner: ServiceProcess;
let service: ServiceProcess;
let browser: Browser;
let page: Page;
const api = new ConsoleApi(() => service.url, secret);

beforeAll(async () => {
  const linkFile = join(scratch.path, 'link-secret');
  writeFileSync(linkFile, secret, { mode: 0o600 });
  [nats, postgres] = await Promise.all([startNats(), startPostgres()]);
  const environment = { NATS_URL: nats.url, DATABASE_URL: postgres.url };
  provisioner = await ServiceProcess.start('provisioner', { ...environment, PLINTH_SERVICE_ID: 'provisioner-1' });
  bus = await connect({ servers: nats.url });
  const jetstream = bus.jetstream({ timeout: PATIENCE_MS });
  hosts = new ScriptedHosts(bus, jetstream, ['host-1', 'host-2'], 100);
  hosts.start();
  serveLogs(bus, agentLogs('*'), () => ({ chunks: [[1, 'stdout', 'T listens\n']] }));
  service = await ServiceProcess.start('console', {
    ...environment,
    PLINTH_SERVICE_ID: 'console-1',
    PLINTH_CONSOLE_LINK_FILE: linkFile,
  });
  for (const version of ['v1', 'v2']) await promote(version);
  const cookie = await api.signedIn('root', 'admin');
  const done = async (path: string, body: object): Promise<void> => {
    const answer = await api.ask<{ state: string }>('POST', `${path}?wait=30`, { cookie, body });
    expect(`${path} ${JSON.stringify(answer.body)}`).toContain('"state":"done"');
  };
  await untilHeld(cookie);
  await done('/images/debian-12@v1/activate', {});
  for (let index = 0; index < CONTAINERS; index++)
    await done('/containers', { name: `shop-${index}`, tenant: index % 2 === 0 ? 'acme' : 'zeta' });
  browser = await chromium.launch({ executablePath: chromiumPath(), chromiumSandbox: false });
});
afterAll(async () => {
  await browser?.close();
  await hosts?.stop();
  await bus?.close();
  await service?.end();
  await provisioner?.end();
  await Promise.all([nats?.stop(), postgres?.stop()]);
  scratch.stop();
});

/** What an image-builder publishes of a version, and a storage node that holds it. */
async function promote(version: string): Promise<void> {
  const contentDigest = `sha256:${randomBytes(32).toString('hex')}`;
  const name = 'debian-12';
  const digests = { contentDigest, manifestDigest: contentDigest, archiveDigest: contentDigest };
  const data = { name, version, ...digests, archiveBytes: 1, unpackedBytes: 1, sources: ['http://127.0.0.1:1/x'] };
  await new EventPublisher(bus, 'image-builder/test').publish({ subject: SUBJECTS.imagePromoted, data, id: newId() });
  hosts.images.push({ name, version, contentDigest });
}

/** Heartbeats tell the provisioner what the storage node holds. */
async function untilHeld(cookie: string): Promise<void> {
  for (;;) {
    const { body } = await api.ask<{ items: { storageNodes: string[] }[] }>('GET', '/images', { cookie });
    if (body.items.length === 2 && body.items.every(({ storageNodes }) => storageNodes.length > 0)) return;
  }
}

async function signIn(user: string, role: Role, tenants: readonly string[] = []): Promise<void> {
  await page?.context().close();
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, bypassCSP: true });
  page = await context.newPage();
  page.on('console', (entry) => messages.push(`${entry.type()}: ${entry.text()}`));
  page.on('pageerror', (error) => messages.push(error.message));
  await page.goto(`${service.url}/sign-in#link=${api.link(user, role, tenants)}`);
  await text('● live');
  // The browser logs the answer to the question who is signed in: nobody.
  expect(messages.splice(0).filter((message) => !message.includes('401'))).toEqual([]);
}

const text = (content: string | RegExp, within: Page | Locator = page): Promise<void> =>
  within.getByText(content).first().waitFor({ timeout: PATIENCE_MS });

/** Opens a question, answers it, and waits for what became of it. */
async function act(
  button: string,
  fill: Readonly<Record<string, string>>,
  outcome: string,
  name?: string,
): Promise<void> {
  await page.getByRole('button', { name: button, exact: true }).first().click({ timeout: PATIENCE_MS });
  const dialog = page.getByRole('dialog');
  await dialog.waitFor({ timeout: PATIENCE_MS });
  for (const [field, value] of Object.entries(fill)) await dialog.locator(`input[name=${field}]`).fill(value);
  if (name !== undefined) {
    await picture(page, name);
    expect(await violations(page)).toEqual([]);
  }
  await dialog.getByRole('button', { name: button, exact: true }).click();
  await text(outcome, dialog.locator('.result'));
  await dialog.getByRole('button', { name: 'Close' }).click();
}

it('starts a rollout, approves its canary, halts it, and goes back', async () => {
  await signIn('olga', 'operator');
  await page.keyboard.press('g');
  await page.keyboard.press('r');
  await text('No rollout was started so far');
  const request = { image: 'debian-12', to: 'debian-12@v2', canary: '1', batch: '2', soak: '0', why: 'security fix' };
  await act('Start a rollout', request, 'done', 'question');
  await text('paused');
  await picture(page, 'rollouts');
  expect(await violations(page)).toEqual([]);

  await page.goto(`${service.url}/`);
  await text('Waits for you');
  await picture(page, 'overview-waiting');
  await page.getByRole('link', { name: /Rollout to debian-12@v2/ }).click();
  await text('canary');
  // What follows the canary is not judged: the rollout stays where it can be halted.
  for (let index = 0; index < CONTAINERS; index++) hosts.fates.set(`shop-${index}`, 'hangs');
  await act('Approve', { why: 'the canary is well' }, 'done');
  await text('rolling');
  await picture(page, 'rollout');
  expect(await violations(page)).toEqual([]);
  await act('Halt', { why: 'the shop is slow' }, 'done');
  await text('paused');
  hosts.fates.clear();
  const id = /rollouts\/([0-9a-f]{8})/.exec(page.url())?.[1] ?? '';
  await act('Revert', { why: 'it stays slow', typed: id }, 'done', 'question-typed');
  await page.locator('h1', { hasText: 'reverted' }).waitFor({ timeout: PATIENCE_MS });
  expect(new Set([...hosts.containers.values()].map(({ image }) => image))).toEqual(new Set(['debian-12@v1']));
  await text('Left over time');
  await picture(page, 'rollout-reverted');
  expect(await violations(page)).toEqual([]);
});

it('shows what a request led to, and events as they come', async () => {
  await page.keyboard.press('g');
  await page.keyboard.press('e');
  await text('rollout.reverted');
  await page.locator('input[type=search]').first().fill('rollout.requested');
  await page.getByText('rollout.reverted').first().waitFor({ state: 'detached', timeout: PATIENCE_MS });
  await text('olga asked');
  await picture(page, 'events');
  expect(await violations(page)).toEqual([]);
  await page
    .getByRole('link', { name: /rollout.requested/ })
    .first()
    .click();
  await text('olga asked: rollout start debian-12@v2');
  await text('container.updated');
  await picture(page, 'causality');
  expect(await violations(page)).toEqual([]);
});

it('drains a host, and takes it back', async () => {
  await page.goto(`${service.url}/fleet`);
  await act('Drain host-2', { parallel: '10', why: 'a new disk' }, 'done');
  await text('cordoned');
  await picture(page, 'fleet-acts');
  expect(await violations(page)).toEqual([]);
  await page.goto(`${service.url}/containers?q=host:host-2`);
  await text('0 of 6');
  await page.goto(`${service.url}/fleet`);
  await act('Uncordon host-2', {}, 'done');
});

it('stops, starts and switches a container; a question that is left does nothing', async () => {
  await page.goto(`${service.url}/containers?q=shop-0`);
  await page.getByRole('link', { name: 'shop-0', exact: true }).click({ timeout: PATIENCE_MS });
  await page.getByRole('button', { name: 'Remove' }).click();
  await page.getByRole('dialog').getByText('this can’t be undone').waitFor();
  expect(await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).isDisabled()).toBe(true);
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await act('Stop', {}, 'done');
  await page.locator('h1', { hasText: 'stopped' }).waitFor({ timeout: PATIENCE_MS });
  await act('Start', {}, 'done');
  await act('Switch image', { to: 'debian-12@v2' }, 'done');
  await page.getByRole('button', { name: 'Set limits' }).click();
  await page.getByRole('dialog').locator('input[name=memory]').fill('much');
  await page.getByRole('dialog').getByRole('button', { name: 'Set limits' }).click();
  await text('memory is a number above 0');
  await page.keyboard.press('Escape');
  await picture(page, 'container-acts');
  expect(await violations(page)).toEqual([]);
});

it('shows images and what needs them; an admin retires what nothing needs', async () => {
  await signIn('root', 'admin');
  await page.keyboard.press('g');
  await page.keyboard.press('i');
  await page.getByRole('button', { name: 'more about debian-12@v2' }).click({ timeout: PATIENCE_MS });
  await text(/Needed by \d+ containers? of/);
  await picture(page, 'images');
  expect(await violations(page)).toEqual([]);
  await act('Retire', { typed: 'debian-12@v2' }, 'refused');
});

it('manages people and tokens, and shows who did what', async () => {
  await page.keyboard.press('g');
  await page.keyboard.press('a');
  await text('Who did what');
  await page.getByText('Add a person').click();
  const person = page.locator('form.fields').first();
  await person.locator('input[name=name]').fill('dora');
  await person.locator('select[name=role]').selectOption('developer');
  await person.locator('input[name=tenants]').fill('acme');
  await person.getByRole('button', { name: 'Add' }).click();
  await page.locator('th', { hasText: 'dora' }).waitFor({ timeout: PATIENCE_MS });
  await page.getByText('Make a token').click();
  await page.locator('form.fields').last().locator('input[name=name]').fill('ci');
  await page.getByRole('button', { name: 'Make' }).click();
  await text(/^plinth_[0-9a-f]{12}_/);
  await page.reload();
  await text('the shop is slow');
  expect(await page.getByText(/^plinth_[0-9a-f]{12}_/).count()).toBe(0);
  await picture(page, 'access');
  expect(await violations(page)).toEqual([]);
  await page.goto(`${service.url}/account`);
  await page.locator('input[name=password]').fill('correct horse battery');
  await page.locator('input[name=again]').fill('correct horse battery');
  await page.getByRole('button', { name: 'Set it' }).click();
  await text('It is set.');
  await picture(page, 'account');
  expect(await violations(page)).toEqual([]);
});

it('shows a developer only what is of the own tenant, and acts on it', async () => {
  await signIn('dora', 'developer', ['acme']);
  await page.goto(`${service.url}/containers`);
  await text('3 of 3');
  expect(await page.getByRole('link', { name: 'Fleet' }).count()).toBe(0);
  await page.getByRole('link', { name: 'shop-2', exact: true }).click();
  await text('The role developer may not: switch image.');
  await act('Stop', {}, 'done');
  await picture(page, 'developer');
  expect(await violations(page)).toEqual([]);
  const zeta = (await containers()).find(({ tenant }) => tenant === 'zeta');
  await page.goto(`${service.url}/containers/${zeta?.id}`);
  await text('there is no such container');
  // The answer that it is not there is logged by the browser.
  expect(messages.filter((message) => !/40[49]/.test(message))).toEqual([]);
});

async function containers(): Promise<readonly ContainerStatus[]> {
  const cookie = await api.signedIn('root', 'admin');
  return (await api.ask<{ items: ContainerStatus[] }>('GET', '/containers', { cookie })).body.items;
}
