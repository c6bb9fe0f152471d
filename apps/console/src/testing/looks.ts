/** What a person sees of a page: pictures, and rules of accessibility that it breaks. */
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { Page } from 'playwright-core';

/** Where pictures of each view go, for a person to look at: `npm run console:screenshots`. */
export const PICTURES = process.env['PLINTH_SCREENSHOTS'];
const THEMES = ['light', 'dark'] as const;
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

export async function picture(page: Page, name: string): Promise<void> {
  if (PICTURES === undefined) return;
  mkdirSync(PICTURES, { recursive: true });
  for (const colorScheme of THEMES)
    for (const width of [1280, 390]) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await page.setViewportSize({ width, height: 844 });
      await page.screenshot({ path: join(PICTURES, `${name}-${colorScheme}-${width}.png`) });
    }
  await page.setViewportSize({ width: 1280, height: 800 });
}

/** Rules of WCAG that the view breaks, in both themes. */
export async function violations(page: Page): Promise<string[]> {
  const found: string[] = [];
  for (const colorScheme of THEMES) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    const result = await page.evaluate<{ violations: { id: string; nodes: { html: string }[] }[] }>(
      `${AXE};axe.run(document)`,
    );
    for (const { id, nodes } of result.violations) found.push(`${colorScheme} ${id}: ${nodes[0]?.html}`);
  }
  return found;
}
