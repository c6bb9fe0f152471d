import { LifeCycle, StartError } from './life-cycle.js';

class Journal {
  readonly lines: string[] = [];
  readonly life = new LifeCycle({
    debug: () => undefined,
    error: (about: object) => void this.lines.push(`logged ${(about as { component: string }).component}`),
  } as ConstructorParameters<typeof LifeCycle>[0]);

  start(name: string, fails: { readonly start?: boolean; readonly stop?: boolean } = {}): Promise<void> {
    const step = async (what: 'start' | 'stop'): Promise<void> => {
      await Promise.resolve();
      this.lines.push(`${what} ${name}`);
      if (fails[what]) throw new Error(`${name} is broken`);
    };
    return this.life.start(name, { start: () => step('start'), stop: () => step('stop') });
  }
}

describe('life cycle', () => {
  it('stops in the reverse order of start, each part after the one before it has ended', async () => {
    const journal = new Journal();
    for (const name of ['a', 'b', 'c']) await journal.start(name);
    expect(await journal.life.stop()).toEqual([]);
    expect(journal.lines).toEqual(['start a', 'start b', 'start c', 'stop c', 'stop b', 'stop a']);
  });

  it('stops the others when some cannot be stopped, logs each with its name and returns the names', async () => {
    const journal = new Journal();
    for (const name of ['a', 'b', 'c', 'd']) await journal.start(name, { stop: name === 'b' || name === 'd' });
    expect(await journal.life.stop()).toEqual(['d', 'b']);
    expect(journal.lines.slice(4)).toEqual(['stop d', 'logged d', 'stop c', 'stop b', 'logged b', 'stop a']);
  });

  it('stops what was started when a start fails, not the part that failed, and reports which one it was', async () => {
    const journal = new Journal();
    await journal.start('a');
    await journal.start('b', { stop: true });
    const error: unknown = await journal.start('c', { start: true }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(StartError);
    expect(error).toMatchObject({
      message: 'c could not be started: c is broken',
      cause: new Error('c is broken'),
    });
    expect(journal.lines.slice(2)).toEqual(['start c', 'stop b', 'logged b', 'stop a']);
  });

  it('stops each part once, however often it is asked to', async () => {
    const journal = new Journal();
    await journal.start('a');
    await Promise.all([journal.life.stop(), journal.life.stop()]);
    await journal.life.stop();
    expect(journal.lines).toEqual(['start a', 'stop a']);
  });

  it('takes a part without a start or a stop, and one that throws at once', async () => {
    const journal = new Journal();
    await journal.life.start('quiet', {});
    await journal.life.start('loud', {
      stop: () => {
        throw new Error('at once');
      },
    });
    expect(await journal.life.stop()).toEqual(['loud']);
  });
});
