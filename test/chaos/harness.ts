/** Faults under a running workload, then the invariants; the seed decides everything but the time that things take. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { makeSmallRootfs } from '@plinth/testkit';
import type { Stack } from '../stack.js';
import { chooseFault } from './faults.js';
import { violations } from './invariants.js';
import { Random } from './random.js';
import { Workload } from './workload.js';

export interface ChaosOptions {
  readonly stack: Stack;
  readonly seed: number;
  readonly faults: number;
  /** The invariants are looked at after every so many faults, and at the end. */
  readonly checkEvery: number;
  /** Ends it after the fault in hand. */
  readonly signal?: AbortSignal;
  /** See chooseFault. */
  readonly only?: string;
  readonly onLine: (line: string) => void;
}

export interface ChaosResult {
  readonly injected: Readonly<Record<string, number>>;
  readonly requests: number;
  readonly violations: readonly string[];
}

const TENANT = 'chaos';

export async function runChaos({ stack, seed, faults, checkEvery, only, signal, onLine }: ChaosOptions): Promise<ChaosResult> {
  const images = await makeImages(stack);
  const random = new Random(seed);
  const workload = new Workload(stack, random, TENANT, images);
  const injected: Record<string, number> = {};
  const found: string[] = [];
  for (let count = 0; count < 6; count++) await workload.act();
  for (let done = 0; done < faults && found.length === 0; ) {
    for (let acts = random.between(0, 3); acts > 0; acts--) await workload.act();
    const { kind, inject } = chooseFault(random, only);
    const said = await inject({ stack, workload, random, report: (line) => found.push(line) });
    if (said !== undefined) {
      done++;
      injected[kind] = (injected[kind] ?? 0) + 1;
      onLine(`${String(done).padStart(5)}  ${said}`);
    }
    await delay(random.between(0, 800));
    if (done % checkEvery === 0 || done === faults || signal?.aborted) {
      await workload.settled();
      await stack.restart();
      const now = await violations(stack, TENANT, workload.sent);
      onLine(`       invariants after ${done} faults: ${now.length} violations`);
      for (const line of now) onLine(`       VIOLATION ${line}`);
      found.push(...now);
      if (signal?.aborted) break;
    }
  }
  return { injected, requests: workload.sent.length, violations: found };
}

async function makeImages(stack: Stack): Promise<string[]> {
  mkdirSync(join(stack.home, 'sources'), { recursive: true });
  const { sha256 } = makeSmallRootfs(join(stack.home, 'small'), join(stack.home, 'sources', 'tiny.tar.gz'));
  const refs: string[] = [];
  for (const text of ['one', 'two']) {
    const path = join(stack.home, 'recipe.yaml');
    writeFileSync(path, `name: tiny\nfrom: { rootfs: { path: /tiny.tar.gz, sha256: ${sha256} } }\nfiles: [{ path: /etc/which, content: ${text} }]\ncommand: [/bin/sleep, infinity]\n`);
    const built = await stack.plinth('image', 'build', path, '--json');
    const { ref } = JSON.parse(built.stdout) as { ref: string };
    const promoted = await stack.plinth('image', 'promote', ref);
    if (promoted.code !== 0) throw new Error(promoted.stderr);
    refs.push(ref);
  }
  await stack.plinth('image', 'activate', refs[0] ?? '');
  return refs;
}
