/** The examples of libs/client/README.md, run as they stand there. */
import { execFile } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

interface Where {
  /** Where the packages are found. */
  readonly installation: string;
  readonly natsUrl: string;
  readonly nkeyFile: string | null;
  /** An empty place of their own. */
  readonly scratch: string;
}

/** @returns what it prints @throws when it does not end with 0 */
export async function runExample(language: 'ts' | 'sh', where: Where): Promise<string> {
  const { installation, natsUrl, nkeyFile, scratch } = where;
  const readme = readFileSync(join(installation, 'libs/client/README.md'), 'utf8');
  const text = new RegExp(`\`\`\`${language}\\n([^]*?)\`\`\``).exec(readme)?.[1] ?? '';
  const programs = join(scratch, 'bin');
  mkdirSync(programs, { recursive: true });
  writeFileSync(
    join(programs, 'plinth'),
    `#!/bin/sh\nexec '${process.execPath}' '${join(installation, 'apps/cli/dist/main.js')}' "$@"\n`,
  );
  chmodSync(join(programs, 'plinth'), 0o755);
  const env = {
    ...process.env,
    NATS_URL: natsUrl,
    ...(nkeyFile !== null && { NATS_NKEY_FILE: nkeyFile }),
    PATH: `${programs}${delimiter}${process.env['PATH'] ?? ''}`,
  };
  // The example is TypeScript without annotations, which Node reads as it is.
  const [program, args, cwd] =
    language === 'ts'
      ? [process.execPath, ['--input-type=module', '--eval', `import 'reflect-metadata';\n${text}`], installation]
      : ['/bin/sh', ['-c', text], scratch];
  const { stdout } = await run(program, args, { cwd, env });
  return stdout;
}
