/** Long computations in the thread that does everything else: whatever waits for it gets its turn in between. */

/** For so long nothing else gets its turn; a step that takes longer is not cut. */
const SLICE_MS = 10;

/** Goes through all steps. @returns what the last one returns */
export async function inSlices<T>(steps: Iterator<unknown, T>): Promise<T> {
  for (;;) {
    const end = performance.now() + SLICE_MS;
    do {
      const step = steps.next();
      if (step.done) return step.value;
    } while (performance.now() < end);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
