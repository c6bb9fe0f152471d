/** The `from` of a recipe: exactly one source. */
import { NAME_PATTERN, parseImageRef } from '@plinth/contracts';
import { pathProblem } from './recipe-paths.js';
import { Fields, matching, type Problems, textOf } from './recipe-fields.js';
import type { RecipeSource } from './recipe.js';

const KINDS = ['mmdebstrap', 'rootfs', 'oci', 'image'] as const;
const VARIANTS = ['minbase', 'essential', 'apt', 'required', 'important', 'standard'] as const;
const SUITE = /^[a-z][a-z0-9-]{0,31}$/;
const SHA256 = /^(?:sha256:)?[0-9a-f]{64}$/;
const MAX_URL = 2_048;

export function readSource(value: unknown, path: string, problems: Problems): RecipeSource | undefined {
  if (typeof value === 'string') return readImage(value, path, problems);
  const fields = Fields.read(value, path, KINDS, problems);
  if (!fields) return undefined;
  const given = KINDS.filter((kind) => fields.has(kind));
  if (given.length !== 1)
    return problems.add(
      path,
      `must name exactly one of ${KINDS.join(', ')}${given.length > 1 ? `, not ${given.join(' and ')}` : ''}`,
    );
  const kind = given[0];
  const at = kind ? fields.at(kind) : path;
  switch (kind) {
    case 'mmdebstrap':
      return readMmdebstrap(fields.raw(kind), at, problems);
    case 'rootfs':
      return readRootfs(fields.raw(kind), at, problems);
    case 'oci':
      return readOci(fields.raw(kind), at, problems);
    case 'image':
      return readImage(fields.raw(kind), at, problems);
    default:
      return undefined;
  }
}

function readMmdebstrap(value: unknown, path: string, problems: Problems): RecipeSource | undefined {
  const fields = Fields.read(
    value,
    path,
    ['suite', 'variant', 'mirror', 'components', 'snapshot', 'security'],
    problems,
  );
  if (!fields?.required('suite')) return undefined;
  const suite = fields.text('suite', matching(SUITE, 'must be a code name such as bookworm'));
  const variant =
    fields.text('variant', (text) =>
      (VARIANTS as readonly string[]).includes(text) ? undefined : `must be one of ${VARIANTS.join(', ')}`,
    ) ?? 'minbase';
  const mirror = fields.text('mirror', urlProblem);
  const snapshot = fields.text(
    'snapshot',
    matching(
      /^2\d{3}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3])[0-5]\d[0-5]\dZ$/,
      'must be a time such as 20250901T000000Z',
    ),
  );
  if (mirror !== undefined && snapshot !== undefined)
    problems.add(fields.at('snapshot'), 'must not stand beside mirror: it names the mirror');
  const components = fields.list('components', 8, (item, at) =>
    textOf(item, at, problems, matching(/^[a-z][a-z0-9-]{0,31}$/, 'must be a component such as main')),
  );
  // A mirror of one's own need not hold the security archive.
  const security = fields.flag('security') ?? (mirror === undefined && suite !== 'sid' && suite !== 'unstable');
  if (suite === undefined) return undefined;
  return {
    kind: 'mmdebstrap',
    suite,
    variant: variant as (typeof VARIANTS)[number],
    components: components.length > 0 ? components : ['main'],
    mirror,
    snapshot,
    security,
  };
}

function readRootfs(value: unknown, path: string, problems: Problems): RecipeSource | undefined {
  const fields = Fields.read(value, path, ['path', 'url', 'sha256'], problems);
  if (!fields) return undefined;
  const file = fields.text('path', pathProblem);
  const url = fields.text('url', urlProblem);
  if (fields.has('path') === fields.has('url')) problems.add(path, 'must name exactly one of path, url');
  const sha256 = fields.required('sha256')
    ? fields.text('sha256', matching(SHA256, 'must be 64 hex digits'))
    : undefined;
  return sha256 === undefined ? undefined : { kind: 'rootfs', path: file, url, sha256: sha256.slice(-64) };
}

function readOci(value: unknown, path: string, problems: Problems): RecipeSource | undefined {
  const fields = Fields.read(value, path, ['path', 'ref'], problems);
  if (!fields) return undefined;
  const directory = fields.required('path') ? fields.text('path', pathProblem) : undefined;
  const ref = fields.required('ref')
    ? fields.text('ref', matching(/^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,255}$/, 'must be a tag or a digest'))
    : undefined;
  return directory === undefined || ref === undefined ? undefined : { kind: 'oci', path: directory, ref };
}

function readImage(value: unknown, path: string, problems: Problems): RecipeSource | undefined {
  const text = textOf(value, path, problems, () => undefined);
  if (text === undefined) return undefined;
  const ref = parseImageRef(text);
  return ref && NAME_PATTERN.test(ref.name)
    ? { kind: 'image', ref }
    : problems.add(path, 'must be an image such as debian-12 or debian-12@v3');
}

function urlProblem(text: string): string | undefined {
  if (text.length > MAX_URL || !URL.canParse(text)) return 'must be a URL';
  const url = new URL(text);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return 'must begin with http:// or https://';
  if (url.username || url.password) return 'must not hold a user name or password';
  // One word of a sources list: a space or bracket would begin another field.
  return /^[A-Za-z0-9:/._~%?&=+,@!-]+$/.test(text)
    ? undefined
    : 'must hold only letters, digits and : / . _ ~ % ? & = + , @ ! -';
}
