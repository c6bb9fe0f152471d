/** As `Promise.all`, when neither is in progress any more: what is deleted after one of them failed is complete. */
export async function bothSettled<A, B>(first: Promise<A>, second: B | Promise<B>): Promise<readonly [A, B]> {
  await Promise.allSettled([first, second]);
  return Promise.all([first, second]);
}
