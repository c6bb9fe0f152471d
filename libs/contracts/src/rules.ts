/** class-validator rules for this system's own value types; used by the contracts only. */
import { Cron } from 'croner';
import {
  buildMessage,
  IsInt,
  IsNumber,
  IsOptional,
  IsString,
  Max,
  MaxLength,
  Min,
  ValidateBy,
  type ValidationOptions,
} from 'class-validator';
import { ENV_NAME_PATTERN, isTimezone } from './values.js';

/** A whole number, not below `least`. */
export function IsCount(least = 0): PropertyDecorator {
  return (target, property) => {
    Min(least)(target, property);
    IsInt()(target, property);
  };
}

/** A text of at most that many characters. */
export function IsText(most: number): PropertyDecorator {
  return (target, property) => {
    MaxLength(most)(target, property);
    IsString()(target, property);
  };
}

const MAX_ENV_BYTES = 32 * 1024;
const MAX_ENV_VARIABLES = 256;

/** What is wrong with an environment, or undefined. Values may hold anything but NUL and line breaks. */
export function environmentProblem(value: unknown): string | undefined {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return 'must be an object of strings';
  const entries = Object.entries(value);
  if (entries.length > MAX_ENV_VARIABLES) return `must have at most ${MAX_ENV_VARIABLES} variables`;
  let bytes = 0;
  for (const [name, text] of entries) {
    if (!ENV_NAME_PATTERN.test(name)) return `has a bad variable name ${JSON.stringify(name.slice(0, 40))}`;
    if (typeof text !== 'string') return `variable ${name} must be a string`;
    // oxlint-disable-next-line no-control-regex -- control characters are exactly what is refused
    if (/[\0\r\n]/.test(text)) return `variable ${name} must not hold a line break or NUL`;
    bytes += name.length + Buffer.byteLength(text) + 2;
  }
  return bytes > MAX_ENV_BYTES ? `must be at most ${MAX_ENV_BYTES} bytes` : undefined;
}

export function IsEnvironment(options?: ValidationOptions): PropertyDecorator {
  return ValidateBy(
    {
      name: 'isEnvironment',
      validator: {
        validate: (value: unknown) => environmentProblem(value) === undefined,
        defaultMessage: (args) => `${args?.property ?? 'env'} ${environmentProblem(args?.value) ?? ''}`,
      },
    },
    options,
  );
}

export function IsTimezone(options?: ValidationOptions): PropertyDecorator {
  return ValidateBy(
    {
      name: 'isTimezone',
      validator: {
        validate: (value: unknown) => typeof value === 'string' && isTimezone(value),
        defaultMessage: buildMessage(
          (prefix) => `${prefix}$property must be an IANA time zone such as Europe/Vienna`,
          options,
        ),
      },
    },
    options,
  );
}

/** An argv: 1 to 256 words, none empty at the start, no NUL. */
export function IsCommand(options?: ValidationOptions): PropertyDecorator {
  return ValidateBy(
    {
      name: 'isCommand',
      validator: {
        validate: (value: unknown) =>
          Array.isArray(value) &&
          value.length >= 1 &&
          value.length <= 256 &&
          value.every((word) => typeof word === 'string' && word.length <= 16_384 && !word.includes('\0')) &&
          value[0] !== '',
        defaultMessage: buildMessage(
          (prefix) => `${prefix}$property must be a list of 1 to 256 words without NUL, the first not empty`,
          options,
        ),
      },
    },
    options,
  );
}

/** Five fields as in crontab(5). */
export function IsWindowPattern(options?: ValidationOptions): PropertyDecorator {
  return ValidateBy(
    {
      name: 'isWindowPattern',
      validator: {
        validate: isWindowPattern,
        defaultMessage: buildMessage(
          (prefix) => `${prefix}$property must be five fields as in crontab, such as "0 2 * * 1-5"`,
          options,
        ),
      },
    },
    options,
  );
}

function isWindowPattern(value: unknown): boolean {
  if (typeof value !== 'string' || value.length > 200 || value.trim().split(/\s+/).length !== 5) return false;
  try {
    return new Cron(value, { paused: true }).nextRun() !== null;
  } catch (error) {
    // Croner throws TypeError and RangeError for what it can't read.
    if (error instanceof TypeError || error instanceof RangeError) return false;
    throw error;
  }
}

/**
 * A number of seconds (or other units) to the thousandth. Not IsNumber's `maxDecimalPlaces`: that throws on numbers
 * which are written with an exponent, such as 1e-7.
 */
export function IsToTheThousandth(options?: ValidationOptions): PropertyDecorator {
  return ValidateBy(
    {
      name: 'isToTheThousandth',
      validator: {
        validate: (value: unknown) =>
          typeof value === 'number' && Number.isFinite(value) && Math.round(value * 1000) / 1000 === value,
        defaultMessage: (args) => `${args?.property ?? ''} must be a number with at most three decimal places`,
      },
    },
    options,
  );
}

/** A time in seconds, to the thousandth, that may be absent. */
export function IsSeconds(least: number, most: number): PropertyDecorator {
  const rules = [IsOptional(), IsNumber(), IsToTheThousandth(), Min(least), Max(most)];
  return (target, property) => rules.forEach((rule) => rule(target, property));
}
