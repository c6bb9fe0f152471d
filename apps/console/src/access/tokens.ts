/** API tokens: made once, shown once, stored as a hash; never with more rights than their owner has now. */
import { Inject, Injectable } from '@nestjs/common';
import type { CreateToken, TokenMade } from '@plinth/contracts/console';
import { createHash, randomBytes } from 'node:crypto';
import type { Person } from '../adapters/postgres/people.store.js';
import { TokenStore } from '../adapters/postgres/token.store.js';
import { mayGrant } from '../domain/access.js';
import { formatToken, parseToken } from '../domain/api-token.js';

const DEFAULT_DAYS = 90;

@Injectable()
export class Tokens {
  constructor(@Inject(TokenStore) private readonly store: TokenStore) {}

  /** @returns undefined: the person may not give these rights */
  async make(
    owner: Person,
    { name, role, tenants = [], days = DEFAULT_DAYS }: CreateToken,
  ): Promise<TokenMade | undefined> {
    const given = { role, tenants: role === 'developer' ? tenants : [] };
    if (!mayGrant(owner, given)) return undefined;
    const parts = { id: randomBytes(6).toString('hex'), secret: randomBytes(32).toString('base64url') };
    const entry = await this.store.add({
      ...given,
      id: parts.id,
      hash: hashOf(parts.secret),
      name,
      owner: owner.name,
      days,
    });
    return { token: formatToken(parts), entry };
  }

  async personOf(text: string): Promise<Person | undefined> {
    const parts = parseToken(text);
    const used = parts && (await this.store.use(parts.id, hashOf(parts.secret)));
    if (!used) return undefined;
    const { id, owner, role, tenants, ownerRole, ownerTenants } = used;
    // The owner may have lost rights since.
    if (!mayGrant({ role: ownerRole, tenants: ownerTenants }, { role, tenants })) return undefined;
    return { name: owner, role, tenants, via: `token ${id}` };
  }
}

/** Of 256 random bits no slower hash is needed. */
function hashOf(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}
