/** Sends requests as upstream systems do, and keeps what was requested, by container name. */
import { randomBytes } from 'node:crypto';
import { headers, type JetStreamClient } from 'nats';
import type { Stack } from '../stack.js';
import { CausedEnds } from './ends.js';
import type { Journal } from './journal.js';
import type { Random } from './random.js';

export interface SentRequest {
  readonly id: string;
  readonly subject: string;
  readonly body: string;
  readonly name: string;
}

const MOST_CONTAINERS = 20;
/** Looks, one every three seconds: a start has half a minute, and the host may be lost for a minute. */
const HANG_LOOKS = 60;
/**
 * Writes a line to its data volume at each start, as soon as the disk has room, and one every second; the invariants
 * check these files.
 */
const COMMAND = [
  '/bin/sh',
  '-c',
  'until echo "$PLINTH_CONTAINER_NAME" >> /data/starts; do /bin/sleep 1; done; read run < /proc/sys/kernel/random/uuid; ' +
    'while read up rest < /proc/uptime; do echo "$run $up" >> /data/ticks; /bin/sleep 1; done',
];

export class Workload {
  readonly sent: SentRequest[] = [];
  /** Containers that a fault has ended: others end only on request. */
  readonly ended = new CausedEnds();
  private counter = 0;
  private readonly pending: Promise<void>[] = [];
  /** Names of requested containers whose removal was not requested. */
  private readonly names: string[] = [];

  constructor(
    private readonly stack: Pick<Stack, 'plinth'> & { jetstream(): Pick<JetStreamClient, 'publish'> },
    private readonly random: Random,
    private readonly tenant: string,
    /** `name@version` of images to run on and to switch between. */
    private readonly images: readonly string[],
    /** Image on which every container hangs in its mount script. */
    private readonly hanging: string,
    private readonly journal: Journal,
  ) {}

  /** One request of some kind. */
  async act(): Promise<void> {
    const dice = this.random.between(1, 10);
    const name = this.random.pick(this.names);
    if (name === undefined || (dice <= 4 && this.names.length < MOST_CONTAINERS)) return this.create();
    const container = { name, tenant: this.tenant };
    if (dice <= 5) return this.send('container.stop.requested', container, name);
    if (dice <= 6) return this.send('container.start.requested', container, name);
    if (dice <= 7) return this.send('container.restart.requested', container, name);
    if (dice <= 9)
      return this.send(
        'container.update.requested',
        { ...container, to: this.random.pick(this.images), stableSeconds: 0.2, soakSeconds: 0.5 },
        name,
      );
    this.names.splice(this.names.indexOf(name), 1);
    return this.send('container.remove.requested', container, name);
  }

  /** Sends a request once more, as at-least-once delivery does. */
  async repeat(): Promise<string | undefined> {
    const request = this.random.pick(this.sent);
    if (!request) return undefined;
    this.journal.write('request again', { id: request.id, subject: request.subject, name: request.name });
    await this.publish(request);
    return request.id;
  }

  async publishRaw(subject: string, body: string): Promise<void> {
    await this.retry(() => this.stack.jetstream().publish(subject, body));
  }

  /** A request that reaches the bus long after those that were sent after it. */
  late(ms: number): string {
    const name = `c-${this.counter++}`;
    this.names.push(name);
    // Drawn now: a draw after the delay would depend on the draws until then, and the seed would no longer decide the
    // rest.
    const data = this.newContainer(name);
    this.pending.push(
      new Promise((resolve) => setTimeout(resolve, ms)).then(() => this.send('container.requested', data, name)),
    );
    return name;
  }

  /** @param report receives a violation */
  hang(report: (violation: string) => void): void {
    const name = `hang-${this.counter++}`;
    this.pending.push(this.hangAndRemove(name).then((problem) => void (problem !== undefined && report(problem))));
  }

  private async hangAndRemove(name: string): Promise<string | undefined> {
    const container = { name, tenant: this.tenant };
    await this.send('container.requested', { ...container, image: this.hanging, restart: { policy: 'never' } }, name);
    let problem: string | undefined = `${name} hangs in its mount script, and no fact reports it`;
    for (let looks = 0; looks < HANG_LOOKS && problem !== undefined; looks++) {
      await new Promise((resolve) => setTimeout(resolve, 3_000));
      const { stdout } = await this.stack.plinth('events', '--since', '10m', '--json');
      if (
        stdout
          .split('\n')
          .some(
            (line) =>
              line.includes('container.failed') && line.includes(`"${name}"`) && line.includes('mount-script-timeout'),
          )
      )
        problem = undefined;
    }
    await this.send('container.remove.requested', container, name);
    return problem;
  }

  /** Resolves when every late request was sent. */
  async settled(): Promise<void> {
    await Promise.all(this.pending.splice(0));
  }

  private async create(): Promise<void> {
    const name = `c-${this.counter++}`;
    this.names.push(name);
    await this.send('container.requested', this.newContainer(name), name);
  }

  private newContainer(name: string): object {
    const restart = this.random.between(0, 1) === 0 ? { policy: 'always' } : { policy: 'on-failure', maxRetries: 20 };
    return {
      name,
      tenant: this.tenant,
      image: this.random.pick(this.images),
      command: COMMAND,
      stopGraceSeconds: 1,
      restart,
    };
  }

  private async send(subject: string, data: object, name: string): Promise<void> {
    const request = { id: randomBytes(16).toString('hex'), subject, body: JSON.stringify(data), name };
    this.sent.push(request);
    this.journal.write('request', request);
    await this.publish(request);
  }

  private async publish({ id, subject, body }: SentRequest): Promise<void> {
    const envelope = headers();
    envelope.set('ce-id', id);
    await this.retry(async () => {
      this.journal.write('publishing', { id, subject });
      const { seq } = await this.stack.jetstream().publish(subject, body, { headers: envelope });
      this.journal.write('stored', { id, subject, seq });
    }, id);
  }

  /** Tries until the bus has stored the message: a sender that is refused sends again, under the same id. */
  private async retry(publish: () => Promise<unknown>, id?: string): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        await publish();
        return;
      } catch (error) {
        // It may be stored all the same.
        this.journal.write('not acknowledged', { id, error: String(error) });
        if (attempt === 60) throw error;
        await new Promise((resolve) => setTimeout(resolve, 500));
      }
    }
  }
}
