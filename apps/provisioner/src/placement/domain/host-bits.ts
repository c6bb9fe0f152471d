/** Which hosts hold which images: one bit for each image and host, as ten thousand hosts may hold hundreds each. */

/** Some hosts, by name. */
export interface HostNames {
  has(host: string): boolean;
}

const WORD_BITS = 32;

export class HostBits {
  private readonly numbers = new Map<string, number>();
  private readonly words = new Map<string, Uint32Array<ArrayBuffer>>();

  /** Hosts with the image; it follows later changes. */
  of(image: string): HostNames {
    return {
      has: (host) => {
        const number = this.numbers.get(host);
        const word = number === undefined ? undefined : this.words.get(image)?.[Math.floor(number / WORD_BITS)];
        return word !== undefined && (word & maskOf(number ?? 0)) !== 0;
      },
    };
  }

  /** All that the host holds now. */
  set(host: string, images: Iterable<string>): void {
    const number = this.numbers.get(host) ?? this.numbers.size;
    this.numbers.set(host, number);
    const at = Math.floor(number / WORD_BITS);
    for (const [image, words] of this.words) {
      const word = words[at];
      if (word === undefined || (word & maskOf(number)) === 0) continue;
      words[at] = word & ~maskOf(number);
      if (words.every((each) => each === 0)) this.words.delete(image);
    }
    for (const image of images) {
      const words = this.wordsOf(image, at);
      words[at] = (words[at] ?? 0) | maskOf(number);
    }
  }

  private wordsOf(image: string, at: number): Uint32Array<ArrayBuffer> {
    const known = this.words.get(image);
    if (known && known.length > at) return known;
    const words = new Uint32Array(Math.max(at + 1, 2 * (known?.length ?? 0)));
    if (known) words.set(known);
    this.words.set(image, words);
    return words;
  }
}

function maskOf(number: number): number {
  return 1 << (number % WORD_BITS);
}
