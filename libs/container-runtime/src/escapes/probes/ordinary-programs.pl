# What ordinary programs do, mostly with sockets.
my $on = pack('i', 1);
for my $kind (['UNIX', 1, 1, 0], ['TCP', 2, 1, 0], ['UDP', 2, 2, 0], ['TCP by IPv6', 10, 1, 0], ['ROUTE', 16, 3, 0],
  ['SOCK_DIAG', 16, 3, 4], ['AUDIT', 16, 3, 9], ['KOBJECT_UEVENT', 16, 3, 15], ['GENERIC', 16, 3, 16]) {
  my ($name, @arguments) = @$kind;
  attempt "socket $name", sub { call(41, @arguments) };
}
for my $option (['SO_REUSEADDR', 1, 1, 1, 2], ['SO_KEEPALIVE', 1, 1, 1, 9], ['SO_RCVBUF', 1, 2, 1, 8], ['IP_TTL', 2, 1, 0, 2],
  ['IP_PKTINFO', 2, 2, 0, 8], ['IPV6_V6ONLY', 10, 1, 41, 26], ['TCP_NODELAY', 2, 1, 6, 1], ['TCP_KEEPIDLE', 2, 1, 6, 4],
  ['TCP_FASTOPEN_CONNECT', 2, 1, 6, 30], ['TCP_INQ', 2, 1, 6, 36], ['UDP_CORK', 2, 2, 17, 1], ['UDP_SEGMENT', 2, 2, 17, 103],
  ['UDP_GRO', 2, 2, 17, 104], ['NETLINK_EXT_ACK', 16, 3, 270, 11]) {
  my ($name, $family, $type, $level, $number) = @$option;
  attempt "option $name", sub { my $socket = syscall(41, $family, $type, 0); call(54, $socket, $level, $number, $on, 4) };
}
attempt 'preadv2', sub {
  open my $file, '<', '/bin/dash' or die $!;
  my $buffer = "\0" x 16;
  call(327, fileno $file, pack('PQ', $buffer, 16), 1, 0, 0, 0);
};
