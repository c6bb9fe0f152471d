# Devices, and files by their handle.
for my $node (['memory', 0x2000, 0x0101], ['a disk', 0x6000, 0xfe00], ['the console', 0x2000, 0x0501]) {
  my ($name, $type, $number) = @$node;
  attempt "make $name", sub { call(133, '/tmp/node', $type | 0600, $number) && unlink '/tmp/node' };
}
attempt 'open a file by its handle', sub {
  my $handle = pack('Li', 120, 0) . "\0" x 120;
  my $path = '/tmp';
  my $mount = pack('i', 0);
  syscall(303, -100, $path, $handle, $mount, 0) == 0 or die "name_to_handle_at: $!";
  opendir my $directory, '/tmp' or die $!;
  call(304, fileno $directory, $handle, 0);
};
