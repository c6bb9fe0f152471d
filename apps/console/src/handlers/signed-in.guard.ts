/** Lets a request through whose session is there and whose role may use the route. */
import { type CanActivate, type ExecutionContext, Inject, Injectable, SetMetadata } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { SignIn } from '../access/sign-in.js';
import { Tokens } from '../access/tokens.js';
import type { Person } from '../adapters/postgres/people.store.js';
import { ConsoleConfig } from '../config.js';
import { mayUse, type Route } from '../domain/access.js';
import { ApiProblem, bearerOf, isSecure, type SignedInRequest, tokenOf } from './http.js';

const ROUTE = Symbol('route');
/** Which right a handler needs. */
export const Needs = (route: Route): MethodDecorator => SetMetadata(ROUTE, route);

@Injectable()
export class SignedInGuard implements CanActivate {
  constructor(
    @Inject(Reflector) private readonly reflector: Reflector,
    @Inject(SignIn) private readonly signIn: SignIn,
    @Inject(Tokens) private readonly tokens: Tokens,
    @Inject(ConsoleConfig) private readonly config: ConsoleConfig,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const request = context.switchToHttp().getRequest<SignedInRequest>();
    const bearer = bearerOf(request);
    const session = bearer === undefined ? tokenOf(request, isSecure(this.config.PLINTH_CONSOLE_URL)) : undefined;
    const present = (isUse: boolean): Promise<Person | undefined> =>
      bearer === undefined ? this.signIn.personOf(session, isUse) : this.tokens.personOf(bearer);
    const person = await present(true);
    if (!person)
      throw new ApiProblem(
        'not-signed-in',
        bearer === undefined ? 'sign in, or run: plinth console' : 'the token is none, revoked or over',
      );
    const route = this.reflector.get<Route | undefined>(ROUTE, context.getHandler());
    // A handler without a right is a mistake: nobody may use it.
    if (route === undefined || !mayUse(person, route, bearer !== undefined))
      throw new ApiProblem(
        'role-not-allowed',
        `the role ${person.role} may not use this${bearer === undefined ? '' : ' by a token'}`,
      );
    request.person = person;
    request.token = session;
    request.mayGoOn = async () => {
      const now = await present(false);
      // With other rights it begins again.
      return now?.role === person.role && now.tenants.join() === person.tenants.join();
    };
    return true;
  }
}
