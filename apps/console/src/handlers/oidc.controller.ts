/**
 * Sign-in by an OpenID provider. The provider sends the browser back to a view of the page, which sends what it was given
 * here: so that this request has the console's own origin, as every other that changes something.
 */
import { Body, Controller, Get, HttpCode, Inject, Post, Query, Req, Res } from '@nestjs/common';
import {
  BeginProviderSignIn,
  EndProviderSignIn,
  type ProviderSignedIn,
  type SignInWays,
} from '@plinth/contracts/console';
import { ProviderSignIn } from '../access/provider-sign-in.js';
import type { IncomingMessage } from '../adapters/web.js';
import { ConsoleConfig } from '../config.js';
import { localPath } from '../domain/return-path.js';
import {
  addressOf,
  ApiProblem,
  begunCookieOf,
  begunOf,
  checked,
  cookieOf,
  isSecure,
  type Response,
  sessionAnswer,
} from './http.js';

const SEE_OTHER = 303;

@Controller('api/v1/session')
export class OidcController {
  private readonly secure: boolean;

  constructor(
    @Inject(ConsoleConfig) config: ConsoleConfig,
    @Inject(ProviderSignIn) private readonly signIn: ProviderSignIn,
  ) {
    this.secure = isSecure(config.PLINTH_CONSOLE_URL);
  }

  @Get('ways')
  async ways(): Promise<SignInWays> {
    return { provider: (await this.signIn.offered()) ?? null };
  }

  @Get('oidc')
  async begin(@Query() query: unknown, @Res() response: Response): Promise<void> {
    const { return: asked = '/' } = checked(BeginProviderSignIn, query);
    const returnTo = localPath(asked);
    if (returnTo === undefined) throw new ApiProblem('invalid-request', 'return: must be the path of a view here');
    const begun = await this.signIn.begin(returnTo);
    if (!begun.ok && begun.reason === 'not-found') throw new ApiProblem(begun.reason, begun.message);
    if (begun.ok) response.setHeader('set-cookie', begunCookieOf(begun.sealed, begun.seconds, this.secure));
    // A person waits before a browser: what is wrong is on the page.
    redirect(response, begun.ok ? begun.address : `/sign-in?problem=${begun.reason}`);
  }

  @Post('oidc')
  @HttpCode(200)
  async end(
    @Body() body: unknown,
    @Req() request: IncomingMessage,
    @Res({ passthrough: true }) response: Response,
  ): Promise<ProviderSignedIn> {
    const { query } = checked(EndProviderSignIn, body);
    const outcome = await this.signIn.end(query, begunOf(request, this.secure), addressOf(request));
    const forget = begunCookieOf('', 0, this.secure);
    response.setHeader('set-cookie', forget);
    if (!outcome.ok) {
      if (outcome.waitSeconds !== undefined) response.setHeader('retry-after', outcome.waitSeconds);
      throw new ApiProblem(outcome.reason, outcome.message);
    }
    response.setHeader('set-cookie', [forget, cookieOf(outcome.token, outcome.seconds, this.secure)]);
    return { ...sessionAnswer(outcome.person), returnTo: outcome.returnTo ?? '/' };
  }

  /** Where the provider ends its own session, if it does. */
  @Get('oidc/end')
  async signOut(@Res() response: Response): Promise<void> {
    redirect(response, (await this.signIn.signOutAddress()) ?? '/sign-in');
  }
}

function redirect(response: Response, address: string): void {
  response.statusCode = SEE_OTHER;
  response.setHeader('location', address);
  response.end();
}
