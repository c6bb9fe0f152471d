/** Where this host fetches images: the plan that every machine of its data centre computes, and who of the others lives. */
import type { ProductionImage } from '@plinth/contracts';
import { type Fetcher, type InstallationResult, isAnswering, SourceChoices } from '@plinth/image-transfer';
import type { ProducedImage } from '@plinth/image-transfer/domain';
import type { Logger } from '@plinth/service-kit';

/** How often machines that are waited for are asked whether they live. */
const ASK_OTHERS_MS = 5_000;

export type WhereFrom =
  | { readonly image: ProducedImage }
  /** Others fetch it first, and serve it then. */
  | { readonly waitMs: number };

export class ImageSources {
  private readonly choices: SourceChoices;
  /** By version: when the machines that it waits for were asked last. */
  private readonly askedAt = new Map<string, number>();
  private readonly asking = new Set<Promise<void>>();

  /** @param changed one that was waited for does not live */
  constructor(
    self: Fetcher,
    private readonly token: () => string | undefined,
    private readonly signal: AbortSignal,
    private readonly changed: () => void,
    private readonly logger: Logger,
  ) {
    this.choices = new SourceChoices(self);
  }

  /** @returns undefined for a version that is not in production */
  plan(image: ProductionImage): WhereFrom | undefined {
    const plan = this.choices.plan(image);
    if (!plan || 'image' in plan) return plan;
    const key = `${image.name}@${image.version}`;
    if ((this.askedAt.get(key) ?? -Infinity) + ASK_OTHERS_MS < performance.now()) {
      this.askedAt.set(key, performance.now());
      const asking = this.askOthers(image, plan.before).finally(() => this.asking.delete(asking));
      this.asking.add(asking);
    }
    return { waitMs: Math.min(plan.waitMs, ASK_OTHERS_MS) };
  }

  /** A try has ended. */
  learn(image: ProductionImage, result: InstallationResult): void {
    this.choices.learn(image, result);
  }

  /** It is not wanted any more. */
  forget(image: ProductionImage): void {
    this.choices.forget(image);
    this.askedAt.delete(`${image.name}@${image.version}`);
  }

  /** Resolves when nobody is being asked. */
  async settled(): Promise<void> {
    await Promise.all(this.asking);
  }

  private async askOthers(image: ProductionImage, urls: readonly string[]): Promise<void> {
    const token = this.token();
    const transfer = { stallMs: ASK_OTHERS_MS, signal: this.signal, ...(token !== undefined && { token }) };
    try {
      const answers = await Promise.all(urls.map((url) => isAnswering(url, transfer)));
      const silent = urls.filter((_, index) => answers[index] === false);
      for (const url of silent) this.choices.giveUp(image, url);
      if (silent.length > 0) this.changed();
    } catch (error) {
      if (!this.signal.aborted)
        this.logger.warn({ err: error, image: image.name }, 'sources of an image could not be asked');
    }
  }
}
