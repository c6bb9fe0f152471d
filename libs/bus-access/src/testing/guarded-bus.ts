/** A real nats-server with the shipped rules, and logins that notice what they are refused. */
import { setImmediate as turn } from 'node:timers/promises';
import { ConsumerKeeper, createLogger, ensureStreams } from '@plinth/service-kit';
import { scratchDirectory, startNats, type TestServer } from '@plinth/testkit';
import { loginOptions } from '@plinth/service-kit/messaging';
import { connect, Events, type NatsConnection, type Subscription } from 'nats';
import { rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { accessFile, addMembers, seedFile } from '../access-directory.js';
import { type Member, memberId, parseMember } from '../members.js';
import { reloadAccess } from '../reload-access.js';

export const MEMBERS: readonly Member[] = [
  'provisioner',
  'image-builder',
  'host-h-1',
  'host-h-2',
  'storage-sn-1',
  'storage-sn-2',
  'console-c-1',
  'acts-admin',
  'acts-operator',
  'acts-developer',
  'upstream',
  'operator',
].map(member);

export function member(id: string): Member {
  const found = parseMember(id);
  if (!found) throw new Error(`no member ${id}`);
  return found;
}

/** One user's connection. */
export class Login {
  readonly refused = new Set<string>();

  private constructor(readonly connection: NatsConnection) {
    void this.follow();
  }

  static async open(url: string, keyFile: string): Promise<Login> {
    return new Login(await connect({ servers: url, ...loginOptions({ nkeyFile: keyFile }), reconnectTimeWait: 100 }));
  }

  /** Whether the server let it publish; the message is real. */
  async publishes(subject: string, body = '{}', reply?: string): Promise<boolean> {
    this.connection.publish(subject, body, { reply });
    return !(await this.wasRefused(`publish ${subject}`));
  }

  /** Whether the server let it subscribe. */
  async subscribes(subject: string): Promise<boolean> {
    const subscription = this.connection.subscribe(subject, { callback: () => undefined });
    const refused = await this.wasRefused(`subscription ${subject}`);
    subscription.unsubscribe();
    return !refused;
  }

  /** What comes on a subject from now on. */
  async listen(subject: string): Promise<{ readonly received: string[]; readonly subscription: Subscription }> {
    const received: string[] = [];
    const subscription = this.connection.subscribe(subject, {
      callback: (error, message) => void (error ? undefined : received.push(message.subject)),
    });
    await this.connection.flush();
    return { received, subscription };
  }

  async reconnected(): Promise<void> {
    for await (const status of this.connection.status()) if (status.type === Events.Reconnect) return;
  }

  private async wasRefused(what: string): Promise<boolean> {
    // The refusal is on the wire before the answer to the flush.
    await this.connection.flush();
    await turn();
    return this.refused.delete(what);
  }

  private async follow(): Promise<void> {
    for await (const status of this.connection.status()) {
      if (status.type === Events.Error && status.permissionContext)
        this.refused.add(`${status.permissionContext.operation} ${status.permissionContext.subject}`);
    }
  }
}

export class GuardedBus {
  private readonly scratch = scratchDirectory('plinth-access-');
  readonly directory = join(this.scratch.path, 'access');
  private readonly logins = new Map<string, Login>();
  private readonly opened: Login[] = [];
  private server: TestServer | undefined;
  private keeper: ConsumerKeeper | undefined;

  /** @param options without a keeper no consumers are opened until {@link keep} */
  async start(options: { readonly keeper: boolean } = { keeper: true }): Promise<void> {
    addMembers(this.directory, MEMBERS);
    this.server = await startNats([accessFile(this.directory)]);
    await ensureStreams((await this.as('provisioner')).connection);
    if (options.keeper) await this.keep();
  }

  /** What a provisioner does for the others. */
  async keep(): Promise<void> {
    const { connection } = await this.as('provisioner');
    this.keeper = new ConsumerKeeper(connection, createLogger('test', 'test', 'fatal'));
    this.keeper.start();
    await connection.flush();
  }

  get running(): TestServer {
    if (!this.server) throw new Error('not started');
    return this.server;
  }

  keyFile(id: string): string {
    return seedFile(this.directory, member(id));
  }

  /** The member's connection, opened when it is first asked for. */
  async as(id: string): Promise<Login> {
    const known = this.logins.get(id);
    if (known && !known.connection.isClosed()) return known;
    const login = await this.fresh(id);
    this.logins.set(memberId(member(id)), login);
    return login;
  }

  async fresh(id: string): Promise<Login> {
    const login = await Login.open(this.running.url, this.keyFile(id));
    this.opened.push(login);
    return login;
  }

  /** The server comes back without anything it had stored; resolves when every member is connected again. */
  async loseStore(): Promise<void> {
    const back = this.opened.filter(({ connection }) => !connection.isClosed()).map((login) => login.reconnected());
    await this.running.pause();
    rmSync(join(dirname(this.running.logFile), 'jetstream'), { recursive: true });
    await this.running.start();
    await Promise.all(back);
  }

  reload(): Promise<void> {
    return reloadAccess(this.running.identity, this.running.logFile);
  }

  async stop(): Promise<void> {
    await this.keeper?.close();
    await Promise.all(this.opened.map((login) => login.connection.close()));
    await this.server?.stop();
    this.scratch.stop();
  }
}
