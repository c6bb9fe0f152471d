/** Connections by which acts are published: one for each role, with a key that may publish what the role may. */
import { Inject, Injectable } from '@nestjs/common';
import type { ActingRole } from '@plinth/contracts';
import { connectNatsOnce, CredentialsError, credentialsFrom, EventPublisher } from '@plinth/service-kit';
import { join } from 'node:path';
import type { NatsConnection } from 'nats';
import { ConsoleConfig } from '../config.js';

/** A role can't act; the message names what to do, the cause is for the log. */
export class ActBusError extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'ActBusError';
  }
}

@Injectable()
export class ActBus {
  private readonly connections = new Map<ActingRole, Promise<NatsConnection>>();

  constructor(@Inject(ConsoleConfig) private readonly config: ConsoleConfig) {}

  /** Connections are opened when somebody acts. */
  start(): void {
    this.connections.clear();
  }

  async stop(): Promise<void> {
    const opened = await Promise.allSettled(this.connections.values());
    for (const result of opened) if (result.status === 'fulfilled') await result.value.close();
  }

  /** @throws ActBusError */
  async publisher(role: ActingRole): Promise<EventPublisher> {
    return new EventPublisher(await this.connection(role), `console/${this.config.PLINTH_SERVICE_ID}`);
  }

  /** @throws ActBusError */
  connection(role: ActingRole): Promise<NatsConnection> {
    const known = this.connections.get(role);
    if (known) return known;
    const opened = this.open(role).catch((error: unknown) => {
      this.connections.delete(role);
      throw error;
    });
    this.connections.set(role, opened);
    return opened;
  }

  private async open(role: ActingRole): Promise<NatsConnection> {
    const { PLINTH_CONSOLE_ACTS_DIR: directory, NATS_URL: url, PLINTH_SERVICE_ID: id } = this.config;
    const own = credentialsFrom(this.config);
    if (directory === undefined && (own.nkeyFile !== undefined || own.credsFile !== undefined))
      throw new ActBusError('this console shows only: PLINTH_CONSOLE_ACTS_DIR names the keys by which it acts');
    const { tlsCa, tlsCert, tlsKey } = own;
    const nkeyFile = directory === undefined ? undefined : join(directory, `acts-${role}.nk`);
    try {
      return await connectNatsOnce({ url, name: `${id}/${role}`, credentials: { tlsCa, tlsCert, tlsKey, nkeyFile } });
    } catch (cause) {
      const message =
        cause instanceof CredentialsError
          ? `the key of the role ${role} is missing: plinth access add --console 1 makes it`
          : 'the bus does not answer; try again';
      throw new ActBusError(message, { cause });
    }
  }
}
