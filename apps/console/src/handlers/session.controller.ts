/** Sign in, sign out, who is signed in, and the record of it. */
import { Body, Controller, Delete, Get, HttpCode, Inject, Post, Put, Req, Res, UseGuards } from '@nestjs/common';
import { BeginSession, ChangePassword, type SessionAnswer, type SignInList } from '@plinth/contracts/console';
import { SignIn } from '../access/sign-in.js';
import { PeopleStore } from '../adapters/postgres/people.store.js';
import { ConsoleConfig } from '../config.js';
import { isFromProvider } from '../domain/provider-grant.js';
import {
  addressOf,
  ApiProblem,
  checked,
  cookieOf,
  isSecure,
  type Response,
  sessionAnswer,
  type SignedInRequest,
} from './http.js';
import { Needs, SignedInGuard } from './signed-in.guard.js';

const MOST_SIGN_INS = 200;

@Controller('api/v1')
export class SessionController {
  private readonly secure: boolean;

  constructor(
    @Inject(ConsoleConfig) config: ConsoleConfig,
    @Inject(SignIn) private readonly signIn: SignIn,
    @Inject(PeopleStore) private readonly people: PeopleStore,
  ) {
    this.secure = isSecure(config.PLINTH_CONSOLE_URL);
  }

  @Post('session')
  @HttpCode(200)
  async begin(
    @Body() body: unknown,
    @Req() request: SignedInRequest,
    @Res({ passthrough: true }) response: Response,
  ): Promise<SessionAnswer> {
    const { link, name, password } = checked(BeginSession, body);
    const address = addressOf(request);
    if (link === undefined && (name === undefined || password === undefined))
      throw new ApiProblem('invalid-request', 'give either link, or name and password');
    const outcome =
      link === undefined
        ? await this.signIn.withPassword(name ?? '', password ?? '', address)
        : await this.signIn.withLink(link, address);
    if (!outcome.ok) {
      if (outcome.waitSeconds !== undefined) response.setHeader('retry-after', outcome.waitSeconds);
      throw new ApiProblem(outcome.reason, outcome.message);
    }
    response.setHeader('set-cookie', cookieOf(outcome.token, outcome.seconds, this.secure));
    return sessionAnswer(outcome.person);
  }

  @Get('session')
  @UseGuards(SignedInGuard)
  @Needs('session')
  present(@Req() { person }: SignedInRequest): SessionAnswer {
    return sessionAnswer(person);
  }

  @Delete('session')
  @HttpCode(204)
  @UseGuards(SignedInGuard)
  @Needs('password')
  async end(@Req() request: SignedInRequest, @Res({ passthrough: true }) response: Response): Promise<void> {
    if (request.token === undefined) return;
    await this.signIn.out(request.token, request.person, addressOf(request));
    response.setHeader('set-cookie', cookieOf('', 0, this.secure));
  }

  @Put('session/password')
  @HttpCode(204)
  @UseGuards(SignedInGuard)
  @Needs('password')
  async changePassword(@Body() body: unknown, @Req() request: SignedInRequest): Promise<void> {
    if (request.token === undefined) return;
    const { name } = request.person;
    if (isFromProvider(name))
      throw new ApiProblem('from-provider', `${name} has no password here; the provider has it`);
    const { password } = checked(ChangePassword, body);
    if (!(await this.signIn.changePassword(request.token, request.person, password, addressOf(request))))
      throw new ApiProblem('unavailable', 'too many sign in at this moment; try again');
  }

  @Get('sign-ins')
  @UseGuards(SignedInGuard)
  @Needs('sign-ins')
  async signIns(): Promise<SignInList> {
    const items = await this.people.signIns(MOST_SIGN_INS);
    return { items: items.map((item) => ({ ...item, at: item.at.toISOString() })) };
  }
}
