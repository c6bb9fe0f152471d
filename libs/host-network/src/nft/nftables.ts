/** nftables through its library, libnftables(3): a rule costs no process. */
import { type ForeignLibrary, openLibrary, SystemCallError } from '@plinth/host-os';
import { NETLINK_NETFILTER, NetlinkSocket } from '../netlink/netlink-socket.js';

const LIBRARY = 'libnftables.so.1';
/** nftables/libnftables.h */
const NFT_CTX_DEFAULT = 0;
const OUTPUT = { json: 1 << 4, stateless: 1 << 2, terse: 1 << 11 } as const;

/** nft(8) refused a command; its message says where. */
export class NftError extends Error {
  override readonly name = 'NftError';
}

interface Calls {
  readonly open: (flags: number) => unknown;
  readonly free: (context: unknown) => void;
  readonly bufferOutput: (context: unknown) => number;
  readonly bufferError: (context: unknown) => number;
  readonly setFlags: (context: unknown, flags: number) => void;
  readonly run: (context: unknown, command: string) => number;
  readonly output: (context: unknown) => string;
  readonly error: (context: unknown) => string;
}

let bound: Calls | string | undefined;

function calls(): Calls | string {
  if (bound !== undefined) return bound;
  const library = openLibrary(LIBRARY);
  return (bound = typeof library === 'string' ? library : bind(library));
}

function bind(library: ForeignLibrary): Calls {
  return {
    open: library.bind('void *nft_ctx_new(uint32_t flags)'),
    free: library.bind('void nft_ctx_free(void *ctx)'),
    bufferOutput: library.bind('int nft_ctx_buffer_output(void *ctx)'),
    bufferError: library.bind('int nft_ctx_buffer_error(void *ctx)'),
    setFlags: library.bind('void nft_ctx_output_set_flags(void *ctx, unsigned int flags)'),
    run: library.bind('int nft_run_cmd_from_buffer(void *nft, const char *buf)'),
    output: library.bind('const char *nft_ctx_get_output_buffer(void *ctx)'),
    error: library.bind('const char *nft_ctx_get_error_buffer(void *ctx)'),
  };
}

function netfilterProblem(): string | undefined {
  try {
    new NetlinkSocket(NETLINK_NETFILTER).close();
    return undefined;
  } catch (error) {
    if (error instanceof SystemCallError) return `${error.message}: rules need a kernel with CONFIG_NF_TABLES`;
    throw error;
  }
}

/** Belongs to the network namespace that this thread is in when it is opened. */
export class Nftables {
  private constructor(
    private readonly calls: Calls,
    private readonly context: unknown,
  ) {}

  /** @returns why not, when the machine does not have the library or what it needs of the kernel */
  static open(): Nftables | string {
    const found = calls();
    if (typeof found === 'string') return `libnftables (Debian package libnftables1) can't be loaded: ${found}`;
    // Before the library does: where the kernel refuses it that socket, it ends the process with exit code 3.
    const problem = netfilterProblem();
    if (problem !== undefined) return problem;
    const context = found.open(NFT_CTX_DEFAULT);
    if (context === null) return 'libnftables can not be opened';
    found.bufferOutput(context);
    found.bufferError(context);
    return new Nftables(found, context);
  }

  /** One transaction. @throws NftError */
  run(command: string, flags = 0): string {
    this.calls.setFlags(this.context, flags);
    const failed = this.calls.run(this.context, command) !== 0;
    const output = this.calls.output(this.context);
    const error = this.calls.error(this.context);
    if (failed) throw new NftError(error.trim().slice(0, 2000) || 'nftables refused a command without a message');
    return output;
  }

  /** @throws NftError */
  listing(command: string): unknown {
    return JSON.parse(this.run(command, OUTPUT.json)) as unknown;
  }

  /** The chains of a table and the types of its sets, without elements and counts. @throws NftError */
  chains(table: string, family: 'inet' | 'arp' = 'inet'): string {
    return this.run(`list table ${family} ${table}`, OUTPUT.stateless | OUTPUT.terse);
  }

  close(): void {
    this.calls.free(this.context);
  }
}
