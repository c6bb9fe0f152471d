# What every probe begins with. A probe makes attempts, each in a process of its own, and prints one line for each:
# its name, a tab, and "succeeded" or the name of the error. The code of an attempt is true when it succeeded.
use strict;
use warnings;
use Errno;
use Fcntl;
use Socket;
$| = 1;

sub attempt {
  my ($name, $code) = @_;
  my $pid = fork // die "fork: $!";
  if ($pid == 0) {
    $! = 0;
    my $result = eval { $code->() };
    my ($error) = grep { $!{$_} } sort keys %!;
    chomp(my $died = $@);
    print "$name\t", $result ? 'succeeded' : $died ne '' ? "died: $died" : $error // 'nothing', "\n";
    exit 0;
  }
  waitpid $pid, 0;
}

# A system call that succeeds with any result but -1. It may write to its arguments, so it gets copies.
sub call {
  my ($number, @arguments) = @_;
  return syscall($number, @arguments) != -1;
}

# Opens a path for writing, and writes nothing.
sub writable { return sysopen my $file, $_[0], O_WRONLY }

# Files below a directory that somebody may write and this process can; links are not followed.
sub writable_below {
  my @found;
  my @todo = @_;
  while (defined(my $path = pop @todo)) {
    next if -l $path;
    if (-d _) {
      opendir my $directory, $path or next;
      push @todo, map { "$path/$_" } grep { !/^\.\.?$/ } readdir $directory;
    }
    elsif (-f _) { push @found, $path if (lstat _)[2] & 0222 && writable($path) }
  }
  return @found;
}

1;
