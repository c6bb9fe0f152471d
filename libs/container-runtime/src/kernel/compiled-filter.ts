/**
 * Depends on: crun, which keeps the filter that it compiled from a profile as `<id>/seccomp.bpf` beside its state (an
 * array of the kernel's sock_filter), and takes a ready-made one from the annotation `run.oci.seccomp_bpf_data`. Seen
 * with crun 1.8.1; a profile takes it 7 ms to compile.
 * Noticed by: oci-runtime.int-spec.ts, "answers the refused system calls": its container is started with a filter of
 * an earlier one.
 * Instead: without that file every start compiles the profile, which stands in each config; runc is always asked for
 * that.
 */
import { existsSync, readFileSync } from 'node:fs';

const ANNOTATION = 'run.oci.seccomp_bpf_data';
/** linux/filter.h */
const SOCK_FILTER_BYTES = 8;

/** The compiled system call filter of one profile: taken from the first container that has it, given to all others. */
export class CompiledFilter {
  #base64: string | undefined;

  /** For a container's config; undefined as long as there is no filter. */
  annotations(): Readonly<Record<string, string>> | undefined {
    return this.#base64 === undefined ? undefined : { [ANNOTATION]: this.#base64 };
  }

  /** Keeps the filter of a container that runs, unless there is one. */
  keep(runtimeRoot: string, id: string): void {
    const path = `${runtimeRoot}/${id}/seccomp.bpf`;
    if (this.#base64 !== undefined || !existsSync(path)) return;
    const filter = readFileSync(path);
    if (filter.length > 0 && filter.length % SOCK_FILTER_BYTES === 0) this.#base64 = filter.toString('base64');
  }
}
