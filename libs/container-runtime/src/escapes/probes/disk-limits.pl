# A subvolume of its own is not held to the limit of the data volume. On a file system that is not btrfs the kernel
# answers as the filter does, so the descriptor is none: the filter answers first.
my $HIGH = 1 << 32;
for my $request (['subvolume', 0x5000940e], ['subvolume, second form', 0x50009418], ['snapshot', 0x50009401],
  ['snapshot, second form', 0x50009417], ['subvolume, high bits', $HIGH | 0x5000940e], ['subvolume, another size', 0x940e]) {
  my ($name, $number) = @$request;
  attempt $name, sub { call(16, -1, $number, "\0" x 4096) };
}
