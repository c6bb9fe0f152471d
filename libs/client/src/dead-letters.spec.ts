import { bodyOf, type DeadLetter, replayId, replayRefusal, withoutSecrets } from './dead-letters.js';

const letter = (change: Partial<DeadLetter> & { text?: string } = {}): DeadLetter => {
  const body = Buffer.from(change.text ?? '{"name":"shop"}');
  return {
    sequence: 7,
    id: 'l',
    service: 'provisioner',
    storedAt: '',
    subject: 'container.requested',
    eventId: 'e',
    reason: 'internal-error',
    problems: [],
    attempts: 5,
    bytes: body.length,
    body,
    ...change,
  };
};

describe('a dead letter', () => {
  it.each([
    ['a request', letter(), undefined],
    ['a request for an image', letter({ subject: 'image.requested' }), undefined],
    ['a fact', letter({ subject: 'image.promoted' }), /no request/],
    ['a report', letter({ subject: 'report.host.h.container.x' }), /no request/],
    ['what has no subject', letter({ subject: '' }), /no request/],
    ['what was cut', letter({ bytes: 100_000 }), /of its 100000 bytes/],
    ['no JSON', letter({ text: '{' }), /no JSON/],
    ['a list', letter({ text: '[]' }), /no JSON object/],
  ] as const)('%s: can it be sent again?', (_, given, refusal) => {
    if (refusal === undefined) expect(replayRefusal(given)).toBeUndefined();
    else expect(replayRefusal(given)).toMatch(refusal);
  });

  it('is sent under one id, another than its own', () => {
    expect(replayId(letter())).toBe(replayId(letter({ sequence: 8 })));
    expect(replayId(letter())).not.toBe('l');
    expect(replayId(letter())).not.toBe(replayId(letter({ id: 'm' })));
  });

  it('is shown without the values of its environment', () => {
    const body = bodyOf(letter({ text: '{"name":"shop","env":{"TOKEN":"secret"}}' }));
    expect(JSON.stringify(withoutSecrets(body))).toBe('{"name":"shop","env":{"TOKEN":"…"}}');
    for (const hostile of [
      { env: 'TOKEN=secret' },
      { Env: { A: 'secret' } },
      { x: { env: { A: 'secret' } } },
      { list: [{ env: ['A=secret'] }] },
      { env: { A: { B: 'secret' } } },
    ]) {
      expect(JSON.stringify(withoutSecrets(hostile))).not.toContain('secret');
    }
  });
});
