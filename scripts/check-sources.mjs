/**
 * `npm run sources`: rules about what may stand in which source file, checked on the syntax tree. Needs what
 * `npm run build` makes.
 * Tests, and what only tests use, may write subjects and SQL: they play other systems.
 *
 * `npm run sources -- --words`: also the words of plain-words.mjs, in all *.ts, *.tsx and *.md, tests included.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import ts from 'typescript';
import { CONTRACTS, CONSUMER_REQUESTS, STREAMS } from '@plinth/contracts';
import { findWords } from './plain-words.mjs';

const top = resolve(import.meta.dirname, '..');
const options = process.argv.slice(2);
const withWords = options.includes('--words');
const unknown = options.find((option) => option !== '--words');
if (unknown !== undefined) {
  process.stderr.write(`sources: unknown option ${unknown}; usage: npm run sources [-- --words]\n`);
  process.exit(2);
}

/** Text of a string or template, `*` for what a template puts in; undefined for everything else. */
function textOf(node) {
  if (ts.isStringLiteral(node) || ts.isNoSubstitutionTemplateLiteral(node)) return node.text;
  if (!ts.isTemplateExpression(node)) return undefined;
  return node.head.text + node.templateSpans.map((span) => `*${span.literal.text}`).join('');
}

/** Whether a message could fit both subjects; `*` also for a part of a token. */
function overlap([first, ...rest], [other, ...others]) {
  if (first === '>' || other === '>')
    return (first ?? other) !== undefined && (first === '>' ? other : first) !== undefined;
  if (first === undefined || other === undefined) return first === other;
  return (first.includes('*') || other.includes('*') || first === other) && overlap(rest, others);
}

const known = [...CONTRACTS.map(({ subject }) => subject), CONSUMER_REQUESTS].map((subject) => subject.split('.'));
const entities = new Set([
  ...known.map(([entity]) => entity),
  ...STREAMS.events.subjects.map((subject) => subject.split('.')[0]),
]);
const TOKEN = /^(?:[A-Za-z0-9_*-]+|>)$/;

const RULES = [
  {
    name: 'subjects-in-one-place',
    allows: (path) => path === 'libs/contracts/src/bus/subjects.ts',
    finds(node) {
      const text = textOf(node);
      const tokens = text?.split('.') ?? [];
      if (tokens.length < 2 || !entities.has(tokens[0]) || !tokens.every((token) => TOKEN.test(token)))
        return undefined;
      if (!known.some((subject) => overlap(tokens, subject))) return undefined;
      return `the subject ${text} is written out; use (or add) a name or function of libs/contracts/src/bus/subjects.ts`;
    },
  },
  {
    name: 'sql-in-stores',
    allows: (path) =>
      path.endsWith('.store.ts') ||
      path.includes('/postgres/') ||
      path.startsWith('libs/service-kit/src/persistence/') ||
      // It makes the database server itself.
      path.startsWith('libs/local-servers/src/'),
    finds(node) {
      if (!ts.isCallExpression(node) || !ts.isPropertyAccessExpression(node.expression)) return undefined;
      if (node.expression.name.text !== 'query' || node.arguments.length === 0) return undefined;
      const text = textOf(node.arguments[0]);
      if (
        text === undefined ||
        !/^\s*(?:SELECT|WITH|INSERT|UPDATE|DELETE|CREATE|ALTER|DROP|SET|LOCK|TRUNCATE)\s/i.test(text)
      )
        return undefined;
      return 'SQL stands outside a store; move it into a function of a *.store.ts beside what it reads or writes';
    },
  },
];

function* sources(directory) {
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory() && entry.name !== 'testing') yield* sources(path);
    else if (entry.isFile() && /\.ts$/.test(entry.name) && !/\.(?:int-)?spec\.ts$/.test(entry.name)) yield path;
  }
}

/** Every source and document of the project; what is built, installed or hidden is none. */
function* texts(directory) {
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.name.startsWith('.') || ['node_modules', 'dist', 'build', 'coverage'].includes(entry.name)) continue;
    if (entry.isDirectory()) yield* texts(path);
    else if (entry.isFile() && /\.(?:tsx?|md)$/.test(entry.name)) yield path;
  }
}

const files = ['apps', 'libs'].flatMap((kind) =>
  readdirSync(join(top, kind)).flatMap((name) => [...sources(join(top, kind, name, 'src'))]),
);
let found = 0;
for (const file of files) {
  const path = relative(top, file);
  const rules = RULES.filter((rule) => !rule.allows(path));
  const source = ts.createSourceFile(path, readFileSync(file, 'utf8'), ts.ScriptTarget.ES2022, false);
  const visit = (node) => {
    // A module's name is no subject.
    if (ts.isImportDeclaration(node)) return;
    for (const rule of rules) {
      const problem = rule.finds(node);
      if (problem === undefined) continue;
      found++;
      const { line, character } = source.getLineAndCharacterOfPosition(node.getStart(source));
      process.stderr.write(`error ${rule.name}: ${path}:${line + 1}:${character + 1}: ${problem}\n`);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
}
const documents = withWords ? [...texts(top)] : [];
for (const file of documents) {
  const path = relative(top, file);
  const text = readFileSync(file, 'utf8');
  for (const { offset, word, plain } of findWords(path, text)) {
    found++;
    const before = text.slice(0, offset).split('\n');
    const place = `${path}:${before.length}:${before.at(-1).length + 1}`;
    process.stderr.write(`error plain-words: ${place}: “${word}” stands here; use: ${plain}\n`);
  }
}
const seen = withWords ? `${files.length} files, ${documents.length} texts` : `${files.length} files`;
process.stdout.write(`sources: ${seen}, ${RULES.length + (withWords ? 1 : 0)} rules, ${found} errors\n`);
if (files.length === 0) process.stderr.write('sources: the rules saw no files\n');
process.exit(found > 0 || files.length === 0 ? 1 : 0);
