/** YAML, loaded when it is asked for. */
import { stringify } from 'yaml';

/** What JSON leaves out is left out here; nothing is an alias of anything. */
export function toYaml(data: unknown): string {
  return stringify(JSON.parse(JSON.stringify(data)), { aliasDuplicateObjects: false });
}
