/** The labels that this host reports. */
import { debianArchitecture, type Labels, parseLabels } from '@plinth/contracts';

/** @param configured as parseLabels reads it @param arch Node's name of the machine's architecture */
export function ownLabels(configured: string, arch: string): Labels {
  const labels = parseLabels(configured);
  if (typeof labels === 'string') throw new Error(labels);
  return { ...labels, arch: debianArchitecture(arch) };
}
