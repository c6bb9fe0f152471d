/** The page in a real browser, with 10,000 containers on a real bus. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { containerStatus, type ContainerStatus, hostStatus, sealConsoleLink, storageStatus } from '@plinth/contracts';
import { scratchDirectory, ServiceProcess, startNats, startPostgres, type TestServer } from '@plinth/testkit';
import { connect, type NatsConnection } from 'nats';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { chromiumPath } from './testing/chromium.js';
import { containerAt, hostAt, mixedState, storageAt } from './testing/statuses.js';

const CONTAINERS = 10_000;
const HOSTS = 40;
const PATIENCE_MS = 60_000;
/** Where pictures of each view go, for a person to look at: `npm run console:screenshots`. */
const pictures = process.env['PLINTH_SCREENSHOTS'];
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const scratch = scratchDirectory();
const secret = randomBytes(32);
const messages: string[] = [];
let nats: TestServer;
let postgres: TestServer;
let bus: NatsConnection;
let service: ServiceProcess;
let browser: Browser;
let page: Page;

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

async function picture(name: string): Promise<void> {
  if (pictures === undefined) return;
  mkdirSync(pictures, { recursive: true });
  for (const colorScheme of ['light', 'dark'] as const)
    for (const width of [1280, 390]) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await page.setViewportSize({ width, height: 844 });
      await page.screenshot({ path: join(pictures, `${name}-${colorScheme}-${width}.png`) });
    }
  await page.setViewportSize({ width: 1280, height: 800 });
}

/** Rules of WCAG that the view breaks, in both themes. */
async function violations(): Promise<string[]> {
  const found: string[] = [];
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    const result = await page.evaluate<{ violations: { id: string; nodes: { html: string }[] }[] }>(
      `${axe};axe.run(document)`,
    );
    for (const { id, nodes } of result.violations) found.push(`${colorScheme} ${id}: ${nodes[0]?.html}`);
  }
  return found;
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
  await picture('sign-in');
  expect(await violations()).toEqual([]);
  // The browser logs the answer to the question who is signed in: nobody.
  expect(messages.splice(0).filter((message) => !message.includes('401'))).toEqual([]);
  const claim = { id: 'one', user: 'alice', role: 'operator', tenants: [], until: Date.now() / 1000 + 50 } as const;
  await page.goto('about:blank');
  await page.goto(`${service.url}/sign-in#link=${sealConsoleLink(claim, secret)}`);
  await text('10,000 containers');
  await text('● live');
  messages.splice(0);
  await picture('overview');
  expect(await violations()).toEqual([]);
});

it('draws the rows that are in sight, by a filter in the address, with the keyboard', async () => {
  await page.goto(`${service.url}/containers`);
  await text('10,000 of 10,000');
  if (pictures !== undefined) {
    const [paint] = await page.evaluate<number[]>('[performance.now()]');
    process.stdout.write(`rows in sight ${paint?.toFixed(0)} ms after the navigation began\n`);
  }
  expect(await page.locator('.view [role=row]').count()).toBeLessThan(60);
  await picture('containers');
  expect(await violations()).toEqual([]);
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
  const hostile = '<img src=x onerror=alert(1)><b>bold</b>';
  await page.goto(`${service.url}/containers?q=${name}`);
  await text('1 of 10,000');
  await publish(made(7777, { state: 'failed', message: hostile }));
  await page.locator('.view .mark.bad', { hasText: 'failed' }).waitFor({ timeout: PATIENCE_MS });
  await page.getByRole('link', { name }).click();
  await page.locator('.message.bad').waitFor({ timeout: PATIENCE_MS });
  expect(await page.locator('.message.bad').innerText()).toBe(hostile);
  expect(await page.locator('main img, main .message b').count()).toBe(0);
  await text(/provisioner has not answered/);
  await picture('container');
  expect(await violations()).toEqual([]);
});

it('shows the fleet', async () => {
  await page.keyboard.press('g');
  await page.keyboard.press('f');
  await text('40 hosts');
  await picture('fleet');
  expect(await violations()).toEqual([]);
});

it('shows since when it is cut off, and goes on by itself', async () => {
  await page.goto(`${service.url}/containers?q=shop-42`);
  await text('● live');
  await nats.pause();
  await text(/cut off since \d+ s, data of \d\d:\d\d:\d\d/);
  await picture('cut-off');
  expect(await violations()).toEqual([]);
  await nats.start();
  await text('● live');
  await publish(made(42, { state: 'lost' }));
  await page.locator('.view .mark.bad', { hasText: 'lost' }).first().waitFor({ timeout: PATIENCE_MS });
  expect(messages).toEqual([]);
});
