/** Sessions, sign-ins, people and their tokens. */
import { IsArray, IsBoolean, IsIn, IsInt, IsISO8601, IsString } from 'class-validator';
import { CONSOLE_ROLES, type ConsoleRole } from '../../console-link.js';
import { IsNullable, Nested, NestedEach } from '../../nested.js';

/** What a person or a token may see and do. */
class Grant {
  @IsIn(CONSOLE_ROLES)
  readonly role!: ConsoleRole;

  @IsArray()
  @IsString({ each: true })
  readonly tenants!: readonly string[];
}

export class SessionAnswer extends Grant {
  @IsString()
  readonly name!: string;

  /** The OpenID provider has the password, and gave the role. */
  @IsBoolean()
  readonly fromProvider!: boolean;
}

export class ProviderSignedIn extends SessionAnswer {
  /** The view that was asked for before. */
  @IsString()
  readonly returnTo!: string;
}

export class OfferedProvider {
  /** As people know it. */
  @IsString()
  readonly name!: string;

  /** false: it does not answer at this moment. */
  @IsBoolean()
  readonly available!: boolean;

  /** It ends its own session too, at `/session/oidc/end`. */
  @IsBoolean()
  readonly canSignOut!: boolean;
}

/** Beside password and link, which are always there. */
export class SignInWays {
  /** An OpenID provider. */
  @IsNullable()
  @Nested(() => OfferedProvider)
  readonly provider!: OfferedProvider | null;
}

export class SignInEntry {
  @IsISO8601()
  readonly at!: string;

  @IsString()
  readonly actor!: string;

  @IsString()
  readonly method!: string;

  @IsString()
  readonly address!: string;

  @IsString()
  readonly outcome!: string;

  @IsNullable()
  @IsString()
  readonly reason!: string | null;
}

export class SignInList {
  @NestedEach(() => SignInEntry)
  readonly items!: readonly SignInEntry[];
}

export class TokenEntry extends Grant {
  @IsString()
  readonly id!: string;

  @IsString()
  readonly name!: string;

  /** Who made it. */
  @IsString()
  readonly owner!: string;

  @IsISO8601()
  readonly createdAt!: string;

  @IsISO8601()
  readonly endsAt!: string;

  @IsNullable()
  @IsISO8601()
  readonly usedAt!: string | null;

  @IsNullable()
  @IsISO8601()
  readonly revokedAt!: string | null;
}

export class TokenList {
  @NestedEach(() => TokenEntry)
  readonly items!: readonly TokenEntry[];
}

export class TokenMade {
  /** Shown once: `Authorization: Bearer …`. */
  @IsString()
  readonly token!: string;

  @Nested(() => TokenEntry)
  readonly entry!: TokenEntry;
}

export class UserEntry extends Grant {
  @IsString()
  readonly name!: string;

  @IsBoolean()
  readonly disabled!: boolean;

  /** false: only links sign the person in, or the OpenID provider. */
  @IsBoolean()
  readonly hasPassword!: boolean;

  /** The OpenID provider signs the person in, and gives the role at each sign-in. */
  @IsBoolean()
  readonly fromProvider!: boolean;

  /** That are open. */
  @IsInt()
  readonly sessions!: number;

  @IsNullable()
  @IsISO8601()
  readonly usedAt!: string | null;

  @IsISO8601()
  readonly createdAt!: string;
}

export class UserList {
  @NestedEach(() => UserEntry)
  readonly items!: readonly UserEntry[];
}
