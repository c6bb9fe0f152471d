/**
 * The word list of `npm run sources -- --words`: words that do not stand in sources and documents, each with the plain
 * one to use. Plain text in, positions out: it needs nothing that the build makes.
 */

/**
 * Words of one pattern follow each other with nothing but white space, `_`, `-` or a comment's line break between them.
 */
const PLAIN = [
  [/^told$/, 'reported, sent or given'],
  [/^said$/, 'reported, published or recorded'],
  [/^say again$/, 'publish again or repeat'],
  [/^heard$/, 'received'],
  [/^unheard$/, 'without an answer, or not received'],
  [/^anew$/, 'again'],
  [/^in hand$/, 'in progress'],
  [/^whoever$/, 'the noun: the caller, the process that, a user that'],
  [/^strangers?$/, 'unknown, untrusted or foreign'],
  [/^gives? back$/, 'release or return'],
  [/^doomed$/, 'to be removed'],
  [/^homeless$/, 'on a lost host'],
  [/^rehouse$/, 'move or relocate'],
];

/** Where such a word has to stand: names that are stored or sent, text that counts in a digest, quoted text. */
const ALLOWED = [
  {
    // The field `told` of ImagePlanScript, in a reply.
    paths: [
      'libs/contracts/src/bus/image-replies.ts',
      'apps/image-builder/src/inspection/',
      'apps/cli/src/output/image-view.ts',
      'apps/cli/src/output/image-view.spec.ts',
    ],
    text: /\btold!?:|\.told\b/g,
  },
  {
    // Fields of the records that an agent has on disk: `trial.told` and `healthTold`.
    paths: ['apps/host-agent/src/'],
    text: /\btold\??:|\.told\b|\bhealthTold\??:|\.healthTold\b|"healthTold"/g,
  },
  {
    // Names in the database: a column, an index, and a field of the JSON in `hosts.drain`.
    paths: ['apps/provisioner/src/'],
    text: /\bretirement_told_at\b|\bcontainers_in_hand\b/g,
  },
  {
    paths: ['apps/provisioner/src/hosts/', 'apps/provisioner/src/moves/'],
    text: /\binHand\??:|\bdrain\.inHand\b/g,
  },
  {
    // The generated mount script is part of an image's content digest.
    paths: ['libs/container-runtime/src/spec/mount-script.ts'],
    text: /'# 5\. Environment and host name, for the process and for whoever logs in\.'/g,
  },
];

/** A word, or a part of an identifier such as `give` and `Back` of `giveBack`. */
const WORD = /[A-Z]+(?![a-z])|[A-Z]?[a-z]+/g;
const BETWEEN = /^(?:[ \t_-]*|[ \t]*\n[ \t]*(?:\*|\/\/|>)?[ \t]*)$/;

/** @returns offset of each word that does not stand in `text`, and what to use */
export function findWords(path, text) {
  const allowed = ALLOWED.filter(({ paths }) => paths.some((prefix) => path.startsWith(prefix))).flatMap((entry) =>
    [...text.matchAll(entry.text)].map((match) => [match.index, match.index + match[0].length]),
  );
  const words = [...text.matchAll(WORD)].map((match) => ({
    word: match[0].toLowerCase(),
    start: match.index,
    end: match.index + match[0].length,
  }));
  const found = [];
  words.forEach(({ word, start, end }, index) => {
    const next = words[index + 1];
    const pair = next && BETWEEN.test(text.slice(end, next.start)) ? `${word} ${next.word}` : word;
    const entry = PLAIN.find(([pattern]) => pattern.test(word) || pattern.test(pair));
    if (!entry || allowed.some(([from, to]) => from <= start && start < to)) return;
    found.push({ offset: start, word: entry[0].test(word) ? word : pair, plain: entry[1] });
  });
  return found;
}
