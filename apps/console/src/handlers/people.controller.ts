/** People, their sessions and tokens, and the record of acts. */
import {
  Body,
  Controller,
  Delete,
  Get,
  HttpCode,
  Inject,
  Param,
  Patch,
  Post,
  Query,
  Req,
  UseGuards,
} from '@nestjs/common';
import {
  type AuditList,
  ChangeUser,
  CreateToken,
  CreateUser,
  ListAudit,
  type TokenList,
  type TokenMade,
  type UserList,
} from '@plinth/contracts/console';
import { Accounts, type Changed } from '../access/accounts.js';
import { Tokens } from '../access/tokens.js';
import { AuditStore } from '../adapters/postgres/audit.store.js';
import { PeopleStore } from '../adapters/postgres/people.store.js';
import { TokenStore } from '../adapters/postgres/token.store.js';
import { addressOf, ApiProblem, checked, type SignedInRequest, withNumbers } from './http.js';
import { Needs, SignedInGuard } from './signed-in.guard.js';

const AUDIT_PAGE = 100;

@Controller('api/v1')
@UseGuards(SignedInGuard)
export class PeopleController {
  constructor(
    @Inject(Accounts) private readonly accounts: Accounts,
    @Inject(PeopleStore) private readonly people: PeopleStore,
    @Inject(Tokens) private readonly tokens: Tokens,
    @Inject(TokenStore) private readonly tokenStore: TokenStore,
    @Inject(AuditStore) private readonly audit: AuditStore,
  ) {}

  @Get('users')
  @Needs('users')
  async users(): Promise<UserList> {
    return { items: await this.people.accounts() };
  }

  @Post('users')
  @HttpCode(204)
  @Needs('users')
  async addUser(@Body() body: unknown, @Req() request: SignedInRequest): Promise<void> {
    settle(await this.accounts.add(request.person, addressOf(request), checked(CreateUser, body)));
  }

  @Patch('users/:name')
  @HttpCode(204)
  @Needs('users')
  async changeUser(@Param('name') name: string, @Body() body: unknown, @Req() request: SignedInRequest): Promise<void> {
    settle(await this.accounts.change(request.person, addressOf(request), name, checked(ChangeUser, body)));
  }

  @Delete('users/:name/sessions')
  @HttpCode(204)
  @Needs('users')
  async endSessions(@Param('name') name: string, @Req() request: SignedInRequest): Promise<void> {
    settle(await this.accounts.endSessions(request.person, addressOf(request), name));
  }

  @Get('tokens')
  @Needs('tokens')
  async listTokens(@Req() { person }: SignedInRequest): Promise<TokenList> {
    return { items: await this.tokenStore.list(person.role === 'admin' ? undefined : person.name) };
  }

  @Post('tokens')
  @Needs('tokens')
  async makeToken(@Body() body: unknown, @Req() request: SignedInRequest): Promise<TokenMade> {
    const { person } = request;
    const asked = checked(CreateToken, body);
    const made = await this.tokens.make(person, asked);
    if (!made) throw new ApiProblem('role-not-allowed', `the role ${person.role} may not give a token these rights`);
    const { name, role, endsAt } = made.entry;
    await this.accounts.record(
      person,
      addressOf(request),
      'token.make',
      made.entry.id,
      `${name}, ${role}, until ${endsAt}`,
    );
    return made;
  }

  @Delete('tokens/:id')
  @HttpCode(204)
  @Needs('tokens')
  async revokeToken(@Param('id') id: string, @Req() request: SignedInRequest): Promise<void> {
    const { person } = request;
    const name = await this.tokenStore.revoke(id, person.role === 'admin' ? undefined : person.name);
    if (name === undefined) throw new ApiProblem('token-not-found', 'there is no such token that is valid');
    await this.accounts.record(person, addressOf(request), 'token.revoke', id, name);
  }

  @Get('audit')
  @Needs('audit')
  async listAudit(@Query() query: Record<string, unknown>): Promise<AuditList> {
    const asked = checked(ListAudit, withNumbers(query, 'limit'));
    const { limit = AUDIT_PAGE } = asked;
    const items = await this.audit.list({ ...asked, limit: limit + 1 });
    const page = items.slice(0, limit);
    const last = page.at(-1);
    return { items: page, ...(items.length > limit && last ? { next: String(last.sequence) } : {}) };
  }
}

function settle(changed: Changed): void {
  if (!changed.ok) throw new ApiProblem(changed.reason, changed.message);
}
