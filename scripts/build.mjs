/**
 * `npm run build`: compiles every project (`tsc -b`), then makes each program one file, `apps/<name>/dist/<program>.js`,
 * with the packages that it uses: docs/adr/0009-programs-are-one-file.md. What has not changed is not made again.
 * `npm run build -- apps/cli …` builds those applications and what they need.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const top = dirname(dirname(fileURLToPath(import.meta.url)));

/** Programs beside `main`, each started by it as a process or thread of its own. */
const BESIDE_MAIN = { 'host-agent': ['lease-guard', 'name-resolver'], distributor: ['adapters/extraction.worker'] };

/** A native module; it finds its binary beside its own files. */
const KEPT_OUT = ['koffi'];

/**
 * Nest and TypeORM name packages that they load when an application asks for them. Those that are not installed stay
 * outside, where loading one fails with the message that the package has for it.
 */
const absentStaysOutside = {
  name: 'absent-stays-outside',
  setup(bundler) {
    bundler.onResolve({ filter: /^[^./]/ }, async ({ path, pluginData, ...rest }) => {
      if (pluginData === 'asked') return undefined;
      const found = await bundler.resolve(path, { ...rest, pluginData: 'asked' });
      // A package of ours that is not there is an error of the build.
      return found.errors.length > 0 && !path.startsWith('@plinth/') ? { path, external: true } : found;
    });
  },
};

/**
 * `@nestjs/typeorm` looks for two exports of older versions by `require('typeorm')`, which would load the package's
 * 300 files a second time, from outside of the program.
 */
const oneTypeorm = {
  name: 'one-typeorm',
  setup(bundler) {
    const wanted = 'const require = createRequire(import.meta.url);';
    bundler.onLoad({ filter: /[\\/]@nestjs[\\/]typeorm[\\/].*[\\/]typeorm-compat\.js$/ }, async ({ path }) => {
      const text = await readFile(path, 'utf8');
      if (!text.includes(wanted)) return { errors: [{ text: `${path} has no ${wanted} any more: see one-typeorm` }] };
      const contents = text.replace(
        wanted,
        "import * as typeormItself from 'typeorm';\nconst require = () => typeormItself;",
      );
      return { contents };
    });
  },
};

const asked = process.argv.slice(2);
const compiler = join(top, 'node_modules/typescript-7/bin/tsc');
const compiled = spawnSync(process.execPath, [compiler, '-b', ...asked], { cwd: top, stdio: 'inherit' });
if (compiled.status !== 0) process.exit(compiled.status ?? 1);

const applications = readdirSync(join(top, 'apps')).filter((name) =>
  asked.length === 0 ? existsSync(join(top, 'apps', name, 'package.json')) : asked.includes(`apps/${name}`),
);
await Promise.all(applications.map(bundle));

async function bundle(name) {
  const root = join(top, 'apps', name);
  const programs = ['main', ...(BESIDE_MAIN[name] ?? [])];
  const targets = programs.map((program) => join(root, 'dist', `${program.split('/').pop()}.js`));
  if (Math.min(...targets.map(changedAt)) > lastChange(name)) return;
  const { outputFiles } = await build({
    entryPoints: programs.map((program) => ({
      in: join(root, 'build', `${program}.js`),
      out: program.split('/').pop(),
    })),
    outdir: join(root, 'dist'),
    absWorkingDir: top,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    // Nest and TypeORM read the names of classes.
    keepNames: true,
    external: KEPT_OUT,
    plugins: [absentStaysOutside, oneTypeorm],
    // What CommonJS packages find in their scope.
    banner: {
      js: [
        "import { createRequire as plinthRequire } from 'node:module';",
        'const require = plinthRequire(import.meta.url);',
        'const __filename = import.meta.filename, __dirname = import.meta.dirname;',
      ].join('\n'),
    },
    logLevel: 'error',
    write: false,
  });
  // A build that is cut off must not leave half a program that is newer than its sources.
  await mkdir(join(root, 'dist'), { recursive: true });
  for (const { path, contents } of outputFiles) {
    await writeFile(`${path}.new`, contents);
    await rename(`${path}.new`, path);
  }
}

/** The newest of what a program is made of: compiled files (the compiler touches its record with them), packages, this. */
function lastChange(name) {
  const libraries = readdirSync(join(top, 'libs')).map((library) => join(top, 'libs', library, 'dist/.tsbuildinfo'));
  return Math.max(
    ...libraries.map(changedAt),
    changedAt(join(top, 'apps', name, 'build/.tsbuildinfo')),
    changedAt(join(top, 'package-lock.json')),
    changedAt(fileURLToPath(import.meta.url)),
  );
}

/** Milliseconds after 1970; 0: there is no such file. */
function changedAt(path) {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}
