/** Lets a request through whose session is there and whose role may use the route. */
import { type CanActivate, type ExecutionContext, Inject, Injectable, SetMetadata } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { SignIn } from '../access/sign-in.js';
import { ConsoleConfig } from '../config.js';
import { mayUse, type Route } from '../domain/access.js';
import { ApiProblem, isSecure, type SignedInRequest, tokenOf } from './http.js';

const ROUTE = Symbol('route');
/** Which right a handler needs. */
export const Needs = (route: Route): MethodDecorator => SetMetadata(ROUTE, route);

@Injectable()
export class SignedInGuard implements CanActivate {
  constructor(
    @Inject(Reflector) private readonly reflector: Reflector,
    @Inject(SignIn) private readonly signIn: SignIn,
    @Inject(ConsoleConfig) private readonly config: ConsoleConfig,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const request = context.switchToHttp().getRequest<SignedInRequest>();
    const token = tokenOf(request, isSecure(this.config.PLINTH_CONSOLE_URL));
    const person = await this.signIn.personOf(token);
    if (!person || token === undefined) throw new ApiProblem('not-signed-in', 'sign in, or run: plinth console');
    const route = this.reflector.get<Route | undefined>(ROUTE, context.getHandler());
    // A handler without a right is a mistake: nobody may use it.
    if (route === undefined || !mayUse(person, route))
      throw new ApiProblem('role-not-allowed', `the role ${person.role} may not see this`);
    request.person = person;
    request.token = token;
    return true;
  }
}
