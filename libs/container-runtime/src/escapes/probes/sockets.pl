# Kinds of sockets, and options of them, that have led into kernels: 2026-31431 (AF_ALG), 2026-43284, 2026-43500
# (RxRPC, XFRM, UDP_ENCAP), 2026-46300 (espintcp), 2023-32233, 2024-1086 (nftables).
# The kernel reads the low 32 bits of an argument, a filter may compare all 64.
my $HIGH = 1 << 32;
for my $kind (
  ['AF_PACKET', 17, 3, 0], ['AF_KEY', 15, 3, 2], ['AF_RXRPC', 33, 2, 2], ['AF_ALG', 38, 5, 0], ['AF_VSOCK', 40, 1, 0],
  ['AF_XDP', 44, 3, 0], ['AF_TIPC', 30, 5, 0], ['AF_CAN', 29, 3, 1], ['raw IPv4', 2, 3, 1], ['raw IPv6', 10, 3, 58],
  ['netlink: XFRM', 16, 3, 6], ['netlink: XFRM, high bits', 16, 3, $HIGH | 6], ['netlink: netfilter', 16, 3, 12],
  ['netlink: netfilter, high bits', 16, 3, $HIGH | 12], ['netlink: netfilter, high bits of the family', $HIGH | 16, 3, 12],
  ['netlink: crypto', 16, 3, 21], ['netlink: SCSI', 16, 3, 18], ['netlink: RDMA', 16, 3, 20],
) {
  my ($name, @arguments) = @$kind;
  attempt "socket $name", sub { call(41, @arguments) };
}
my $ENCAP = pack('i', 2);
for my $option (['UDP_ENCAP', 17, 100], ['UDP_ENCAP, high bits', $HIGH | 17, 100],
  ['UDP_ENCAP, high bits of the option', 17, $HIGH | 100], ['UDP_ENCAP by UDP-Lite', 136, 100]) {
  my ($name, $level, $number) = @$option;
  attempt "option $name", sub { my $udp = syscall(41, 2, 2, 0); call(54, $udp, $level, $number, $ENCAP, 4) };
}
for my $option (['TCP_ULP espintcp', 6, 31, 'espintcp'], ['TCP_ULP tls', 6, 31, 'tls'],
  ['TCP_ULP, high bits', $HIGH | 6, $HIGH | 31, 'tls']) {
  my ($name, $level, $number, $value) = @$option;
  attempt "option $name", sub { my $tcp = syscall(41, 2, 1, 0); call(54, $tcp, $level, $number, $value, length $value) };
}
