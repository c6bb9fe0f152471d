/** The page in a real browser, with 10,000 containers on a real bus. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import {
  agentLogs,
  containerStatus,
  type ContainerStatus,
  hostStatus,
  type LogsQuery,
  sealConsoleLink,
  storageStatus,
} from '@plinth/contracts';
import { scratchDirectory, ServiceProcess, startNats, startPostgres, type TestServer } from '@plinth/testkit';
import { connect, type NatsConnection } from 'nats';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { chromiumPath } from './testing/chromium.js';
import { picture, PICTURES, violations } from './testing/looks.js';
import { type Chunk, serveLogs } from './testing/scripted-logs.js';
import { containerAt, hostAt, mixedState, storageAt } from './testing/statuses.js';

const CONTAINERS = 10_000;
const HOSTS = 40;
const PATIENCE_MS = 60_000;
const HOSTILE = '<img src=x onerror=alert(1)><b>bold</b>';
const scratch = scratchDirectory();
const secret = randomBytes(32);
const messages: string[] = [];
let nats: TestServer;
let postgres: TestServer;
let bus: NatsConnection;
let service: ServiceProcess;
let browser: Browser;
let page: Page;
let follows = 0;

const made = (index: number, change: Partial<ContainerStatus> = {}): ContainerStatus => {
  const state = mixedState(index);
  const message = { failed: 'unhealthy: connection refused', lost: 'its host is lost' }[state as string] ?? null;
  return containerAt(index, { tenant: index % 5 === 0 ? 'acme' : 'default', state, message, ...change });
};

async function publish(status: ContainerStatus): Promise<void> {
  await bus.jetstream().publish(containerStatus(status.id), JSON.stringify(status), { timeout: PATIENCE_MS });
}

beforeAll(async () => {
  const linkFile = join(scratch.path, 'link-secret');
  writeFileSync(linkFile, secret, { mode: 0o600 });
  [nats, postgres] = await Promise.all([startNats(), startPostgres()]);
  bus = await connect({ servers: nats.url, maxReconnectAttempts: -1, reconnectTimeWait: 100 });
  serveLogs(bus, agentLogs('*'), logsOf);
  service = await ServiceProcess.start('console', {
    NATS_URL: nats.url,
    DATABASE_URL: postgres.url,
    PLINTH_SERVICE_ID: 'console-1',
    PLINTH_CONSOLE_LINK_FILE: linkFile,
  });
  for (let from = 0; from < CONTAINERS; from += 500)
    await Promise.all(Array.from({ length: 500 }, (_, index) => publish(made(from + index))));
  const fleet = [
    ...Array.from({ length: HOSTS }, (_, index) => {
      const change = [{ state: 'lost' }, { cordoned: true }, { cordoned: true, drain: { left: 12, waiting: null } }];
      return [hostStatus(`h-${index + 1}`), hostAt(index + 1, (change[index - 5] ?? {}) as object)] as const;
    }),
    ...[1, 2].map((index) => [storageStatus(`sn-${index}`), storageAt(index)] as const),
  ];
  for (const [subject, value] of fleet)
    await bus.jetstream().publish(subject, JSON.stringify(value), { timeout: PATIENCE_MS });
  browser = await chromium.launch({ executablePath: chromiumPath(), chromiumSandbox: false });
});
afterAll(async () => {
  await browser?.close();
  await service?.end();
  await bus?.close();
  await Promise.all([nats?.stop(), postgres?.stop()]);
  scratch.stop();
});

/** As an agent: the first that follow are cut off. */
function logsOf({ follow = false }: LogsQuery): ReturnType<Parameters<typeof serveLogs>[2]> {
  const line = (content: string): Chunk => [1, 'stdout', content];
  if (!follow) {
    const lines = Array.from({ length: 200 }, (_, index) => `T line ${index}\n`).join('');
    return { chunks: [line(`${lines}T \u001b[31mred\u001b[0m ${HOSTILE}\n`)] };
  }
  const reply = { ok: false, reason: 'unavailable', message: 'the host agent is stopping' } as const;
  return { chunks: [line(`T ${follows++ === 0 ? 'before' : 'after'} its end\n`)], end: reply };
}

const text = (content: string | RegExp): Promise<void> =>
  page.getByText(content).first().waitFor({ timeout: PATIENCE_MS });

it('signs in by a link, and shows 10,000 containers', async () => {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, bypassCSP: true });
  page = await context.newPage();
  page.on('console', (entry) => messages.push(`${entry.type()}: ${entry.text()}`));
  page.on('pageerror', (error) => messages.push(error.message));
  await page.goto(`${service.url}/sign-in`);
  await text('Sign in');
  await picture(page, 'sign-in');
  expect(await violations(page)).toEqual([]);
  // The browser logs the answer to the question who is signed in: nobody.
  expect(messages.splice(0).filter((message) => !message.includes('401'))).toEqual([]);
  const claim = { id: 'one', user: 'alice', role: 'operator', tenants: [], until: Date.now() / 1000 + 50 } as const;
  await page.goto('about:blank');
  await page.goto(`${service.url}/sign-in#link=${sealConsoleLink(claim, secret)}`);
  await text('10,000 containers');
  await text('● live');
  messages.splice(0);
  await picture(page, 'overview');
  expect(await violations(page)).toEqual([]);
});

it('draws the rows that are in sight, by a filter in the address, with the keyboard', async () => {
  await page.goto(`${service.url}/containers`);
  await text('10,000 of 10,000');
  if (PICTURES !== undefined) {
    const [paint] = await page.evaluate<number[]>('[performance.now()]');
    process.stdout.write(`rows in sight ${paint?.toFixed(0)} ms after the navigation began\n`);
  }
  expect(await page.locator('.view [role=row]').count()).toBeLessThan(60);
  await picture(page, 'containers');
  expect(await violations(page)).toEqual([]);
  await page.keyboard.press('/');
  await page.keyboard.type('state:failed -tenant:acme');
  await text(/^\d+ of 10,000$/);
  expect(new URL(page.url()).searchParams.get('q')).toBe('state:failed -tenant:acme');
  const words = await page.locator('.view [role=row]').allInnerTexts();
  expect(words.length).toBeGreaterThan(5);
  for (const row of words) expect(row).toMatch(/failed[^]*default/);
  await page.keyboard.press('Escape');
  await page.keyboard.press('j');
  await page.keyboard.press('Enter');
  await page.waitForURL(/\/containers\/[0-9a-f]{32}$/, { timeout: PATIENCE_MS });
  await page.locator('.message.bad', { hasText: 'connection refused' }).waitFor({ timeout: PATIENCE_MS });
  await page.goBack();
  await text(/^\d+ of 10,000$/);
});

it('shows a change without being loaded again, and foreign text as text', async () => {
  const name = 'shop-7777';
  await page.goto(`${service.url}/containers?q=${name}`);
  await text('1 of 10,000');
  await publish(made(7777, { state: 'failed', message: HOSTILE }));
  await page.locator('.view .mark.bad', { hasText: 'failed' }).waitFor({ timeout: PATIENCE_MS });
  await page.getByRole('link', { name }).click();
  await page.locator('.message.bad').waitFor({ timeout: PATIENCE_MS });
  expect(await page.locator('.message.bad').innerText()).toBe(HOSTILE);
  expect(await page.locator('main img, main .message b').count()).toBe(0);
  await text(/provisioner has not answered/);
  await text('line 199');
  await picture(page, 'container');
  expect(await violations(page)).toEqual([]);
});

it('shows the last lines of a log as text, those in sight, and follows it over the end of its agent', async () => {
  const log = page.getByRole('log');
  expect(await log.locator('li').count()).toBeLessThan(60);
  await log.locator('li', { hasText: `red ${HOSTILE}` }).waitFor({ timeout: PATIENCE_MS });
  expect(await log.locator('b, img').count()).toBe(0);
  await text(/as of \d\d:\d\d:\d\d/);
  await page.getByRole('button', { name: '▸ follow' }).click();
  await text('the host agent is stopping');
  await text('after its end');
  expect(await violations(page)).toEqual([]);
  await page.getByRole('button', { name: '‖ stop' }).click();
  await text('line 199');
});

it('shows the fleet', async () => {
  await page.keyboard.press('g');
  await page.keyboard.press('f');
  await text('40 hosts');
  await picture(page, 'fleet');
  expect(await violations(page)).toEqual([]);
});

/** Not asserted: how long they take is for people to read. */
if (PICTURES !== undefined)
  it('is measured: a change until it is in the page, and frames while it is scrolled', async () => {
    await page.goto(`${service.url}/containers?q=shop-55`);
    await text('● live');
    const delays: number[] = [];
    for (let round = 0; round < 200; round++) {
      const message = `round ${round}`;
      const shown = page
        .locator('.view .note', { hasText: new RegExp(`^${message}$`) })
        .waitFor({ timeout: PATIENCE_MS });
      const began = performance.now();
      await publish(made(55, { message }));
      await shown;
      delays.push(performance.now() - began);
    }
    delays.sort((a, b) => a - b);
    const at = (share: number): string => (delays[Math.floor(share * (delays.length - 1))] ?? 0).toFixed(0);
    await page.goto(`${service.url}/containers`);
    await text('10,000 of 10,000');
    const frames = await page.evaluate<number[]>(`new Promise((resolve) => {
      const view = document.querySelector('.view');
      const times = [];
      const step = (now) => {
        times.push(now);
        view.scrollTop += 180;
        if (times.length < 300) requestAnimationFrame(step);
        else resolve(times.slice(1).map((time, index) => time - times[index]).sort((a, b) => a - b));
      };
      requestAnimationFrame(step);
    })`);
    const frame = (share: number): string => (frames[Math.floor(share * (frames.length - 1))] ?? 0).toFixed(1);
    process.stdout.write(
      `publish to page: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms; a frame while scrolling: p50 ${frame(0.5)} ms, p99 ${frame(0.99)} ms\n`,
    );
  });

it('shows since when it is cut off, and goes on by itself', async () => {
  await page.goto(`${service.url}/containers?q=shop-42`);
  await text('● live');
  await nats.pause();
  await text(/cut off since \d+ s, data of \d\d:\d\d:\d\d/);
  await picture(page, 'cut-off');
  expect(await violations(page)).toEqual([]);
  await nats.start();
  await text('● live');
  await publish(made(42, { state: 'lost' }));
  await page.locator('.view .mark.bad', { hasText: 'lost' }).first().waitFor({ timeout: PATIENCE_MS });
  expect(messages).toEqual([]);
});
