/** YAML 1.2 text to plain values, which refuses every feature of YAML that a recipe does not need. */
import type { Problem } from '@plinth/contracts';
import { parseDocument } from 'yaml';
import { type ParsedRecipe, parseRecipe } from '../../domain/parse-recipe.js';

/** Bytes of one recipe. */
export const MAX_RECIPE_BYTES = 256 * 1024;
const MAX_PROBLEMS = 20;

/** A recipe's text, checked. */
export function readRecipe(text: string): ParsedRecipe {
  const read = readYaml(text);
  return read.ok ? parseRecipe(read.value) : read;
}

export type ReadYaml =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/**
 * Mappings come as Map. Refuses aliases (with them merge keys and alias bombs), tags, duplicate keys and more than one
 * document.
 */
export function readYaml(text: string): ReadYaml {
  if (Buffer.byteLength(text) > MAX_RECIPE_BYTES) return failed(`the recipe must be at most ${MAX_RECIPE_BYTES} bytes`);
  try {
    const document = parseDocument(text, {
      version: '1.2',
      schema: 'core',
      strict: true,
      uniqueKeys: true,
      merge: false,
      stringKeys: true,
      logLevel: 'error',
    });
    const faults = [...document.errors, ...document.warnings];
    if (faults.length > 0) {
      return {
        ok: false,
        problems: faults.slice(0, MAX_PROBLEMS).map((fault) => {
          const at = fault.linePos?.[0];
          const where = at ? `line ${at.line}, column ${at.col}: ` : '';
          return { path: '', message: `${where}${fault.message.split('\n')[0] ?? ''}`.slice(0, 500) };
        }),
      };
    }
    return { ok: true, value: document.toJS({ mapAsMap: true, maxAliasCount: 0 }) as unknown };
  } catch (error) {
    // ReferenceError: an alias; RangeError: nested deeper than the stack.
    if (error instanceof ReferenceError) return failed('aliases (*name) are not allowed; write the value out');
    if (error instanceof RangeError) return failed('is nested too deeply');
    throw error;
  }
}

function failed(message: string): { ok: false; problems: Problem[] } {
  return { ok: false, problems: [{ path: '', message }] };
}
