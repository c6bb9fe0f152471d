/** Asks nfnetlink whether a table is still there, and whether anything in nftables was changed; costs microseconds. */
import { decodeAttributes, type Message, NLM_F_DUMP, text, textOf } from '../netlink/message.js';
import { NetlinkError, type NetlinkSocket } from '../netlink/netlink-socket.js';

/** linux/netfilter/nfnetlink.h, nf_tables.h */
const NFNL_SUBSYS_NFTABLES = 10;
const NFT_MSG_GETTABLE = 1;
const NFT_MSG_GETGEN = 16;
const NFPROTO_INET = 1;
const NFTA_TABLE_NAME = 1;
const NFTA_TABLE_HANDLE = 4;
const NFTA_GEN_ID = 1;
/** struct nfgenmsg */
const BODY_BYTES = 4;

export class TableWatch {
  constructor(
    private readonly socket: NetlinkSocket,
    private readonly table: string,
  ) {}

  /** Number that the kernel gave the table when it was made; undefined: there is none. */
  handle(): bigint | undefined {
    try {
      return this.attribute(
        NFT_MSG_GETTABLE,
        [{ type: NFTA_TABLE_NAME, payload: text(this.table) }],
        NFTA_TABLE_HANDLE,
      )?.readBigUInt64BE(0);
    } catch (error) {
      if (error instanceof NetlinkError && error.code === 'ENOENT') return undefined;
      throw error;
    }
  }

  /** Names of all tables of this family. libnftables would ask for every set, chain and rule of the machine, too. */
  names(): string[] {
    return this.ask(NFT_MSG_GETTABLE, NLM_F_DUMP, []).flatMap(
      (attributes) => textOf(attributes.get(NFTA_TABLE_NAME)) ?? [],
    );
  }

  /** Grows by one with each transaction of any program in this network namespace. */
  generation(): number {
    return this.attribute(NFT_MSG_GETGEN, [], NFTA_GEN_ID)?.readUInt32BE(0) ?? 0;
  }

  private attribute(type: number, attributes: Message['attributes'], wanted: number): Buffer | undefined {
    return this.ask(type, 0, attributes)[0]?.get(wanted);
  }

  private ask(type: number, flags: number, attributes: Message['attributes']): ReadonlyMap<number, Buffer>[] {
    const body = Buffer.from([NFPROTO_INET, 0, 0, 0]);
    return this.socket
      .ask(
        { type: (NFNL_SUBSYS_NFTABLES << 8) | type, flags, body, attributes },
        `show the nftables table ${this.table}`,
      )
      .map(({ payload }) => decodeAttributes(payload.subarray(BODY_BYTES)));
  }
}
