/** Asks nfnetlink whether a table is still there, and whether anything in nftables was changed; costs microseconds. */
import { decodeAttributes, type Message, text } from '../netlink/message.js';
import { NETLINK_NETFILTER, NetlinkError, NetlinkSocket } from '../netlink/netlink-socket.js';

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
  private readonly socket = new NetlinkSocket(NETLINK_NETFILTER);

  constructor(private readonly table: string) {}

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

  /** Grows by one with each transaction of any program in this network namespace. */
  generation(): number {
    return this.attribute(NFT_MSG_GETGEN, [], NFTA_GEN_ID)?.readUInt32BE(0) ?? 0;
  }

  close(): void {
    this.socket.close();
  }

  private attribute(type: number, attributes: Message['attributes'], wanted: number): Buffer | undefined {
    const body = Buffer.from([NFPROTO_INET, 0, 0, 0]);
    const [answer] = this.socket.ask(
      { type: (NFNL_SUBSYS_NFTABLES << 8) | type, flags: 0, body, attributes },
      `show the nftables table ${this.table}`,
    );
    return answer && decodeAttributes(answer.payload.subarray(BODY_BYTES)).get(wanted);
  }
}
