/** Faults under a running workload, then the invariants; the seed decides everything but the time that things take. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { makeSmallRootfs } from '@plinth/testkit';
import type { Stack } from '../stack.js';
import type { Rig } from './rig.js';
import { chooseFault } from './faults.js';
import { violations } from './invariants.js';
import { Journal } from './journal.js';
import { Random } from './random.js';
import { keepRecord } from './record.js';
import { Workload } from './workload.js';

export interface ChaosOptions {
  readonly rig: Rig;
  readonly seed: number;
  readonly faults: number;
  /** The invariants are checked after each so many faults, and at the end. */
  readonly checkEvery: number;
  /** Ends the run after the fault in progress. */
  readonly signal?: AbortSignal;
  /** See chooseFault. */
  readonly only?: string;
  /** Where a record of the run is kept when an invariant did not hold. */
  readonly recordIn?: string;
  readonly onLine: (line: string) => void;
}

export interface ChaosResult {
  readonly injected: Readonly<Record<string, number>>;
  readonly requests: number;
  readonly violations: readonly string[];
}

const TENANT = 'chaos';

export async function runChaos({
  rig,
  seed,
  faults,
  checkEvery,
  only,
  signal,
  recordIn,
  onLine,
}: ChaosOptions): Promise<ChaosResult> {
  const { stack } = rig;
  const { images, hanging } = await makeImages(stack);
  const random = new Random(seed);
  const journal = new Journal(join(stack.home, 'chaos.jsonl'));
  const workload = new Workload(stack, random, TENANT, images, hanging, journal);
  const injected: Record<string, number> = {};
  const found: string[] = [];
  const report = (line: string): void => {
    onLine(`       VIOLATION ${line}`);
    journal.write('violation', { line });
    found.push(line);
  };
  for (let count = 0; count < 6; count++) await workload.act();
  for (let done = 0, checked = 0; done < faults && found.length === 0;) {
    for (let acts = random.between(0, 3); acts > 0; acts--) await workload.act();
    const { kind, inject } = chooseFault(random, only);
    journal.write('fault begins', { fault: kind });
    const outcome = await inject({ rig, stack, workload, random, report });
    journal.write('fault is over', { fault: kind, outcome });
    if (outcome !== undefined) {
      done++;
      injected[kind] = (injected[kind] ?? 0) + 1;
      onLine(`${String(done).padStart(5)}  ${outcome}`);
    }
    await delay(random.between(0, 800));
    if ((done > checked && (done % checkEvery === 0 || done === faults)) || signal?.aborted) {
      checked = done;
      await workload.settled();
      await stack.restart();
      const now = await violations(rig, TENANT, workload);
      onLine(`       invariants after ${done} faults: ${now.length} violations`);
      for (const line of now) report(line);
      if (signal?.aborted) break;
    }
  }
  if (found.length > 0 && recordIn !== undefined) {
    // The violations are reported even when the record fails.
    await keepRecord(stack, recordIn, found).then(
      () => onLine(`       the record of this run: ${recordIn}`),
      (error: unknown) => onLine(`       the record of this run in ${recordIn} is not whole: ${String(error)}`),
    );
  }
  return { injected, requests: workload.sent.length, violations: found };
}

async function makeImages(stack: Stack): Promise<{ images: string[]; hanging: string }> {
  mkdirSync(join(stack.home, 'sources'), { recursive: true });
  const { sha256 } = makeSmallRootfs(join(stack.home, 'small'), join(stack.home, 'sources', 'tiny.tar.gz'));
  const from = `from: { rootfs: { path: /tiny.tar.gz, sha256: ${sha256} } }\ncommand: [/bin/sleep, infinity]\n`;
  const make = async (recipe: string): Promise<string> => {
    const path = join(stack.home, 'recipe.yaml');
    writeFileSync(path, recipe);
    const built = await stack.plinth('image', 'build', path, '--json');
    const { ref } = JSON.parse(built.stdout) as { ref: string };
    const promoted = await stack.plinth('image', 'promote', ref);
    if (promoted.code !== 0) throw new Error(promoted.stderr);
    return ref;
  };
  const first = await make(`name: tiny\n${from}files: [{ path: /etc/which, content: one }]\n`);
  const script = readFileSync(join(stack.home, 'storage/sn-1/images', first.replace('@', '/'), 'mount.sh'), 'utf8');
  const hanging = await make(
    `name: hanging\n${from}mountScript: ${JSON.stringify(script.replace('set -eu\n', 'set -eu\ncase "$(cat "${PLINTH_LAYER:?}/etc/hostname")" in hang-[0-9]*) sleep 600 ;; esac\n'))}\n`,
  );
  const images = [first, await make(`name: tiny\n${from}files: [{ path: /etc/which, content: two }]\n`)];
  await stack.plinth('image', 'activate', first);
  return { images, hanging };
}
