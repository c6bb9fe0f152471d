# Files of the kernel: 2022-0492 (release_agent), core_pattern, sysrq, 2023-25809 and 2025-47291 (cgroups), what is masked.
for my $name ('sys/kernel/core_pattern', 'sys/kernel/panic', 'sys/kernel/hostname', 'sys/vm/panic_on_oom', 'sysrq-trigger') {
  attempt "write /proc/$name", sub { writable("/proc/$name") };
}
attempt 'write /sys/kernel/profiling', sub { writable('/sys/kernel/profiling') };
attempt 'write any file of the kernel', sub {
  my @files = grep { !m{^/proc/(?:\d+|self|thread-self|sys)$} } glob '/proc/*';
  push @files, grep { $_ ne '/sys/fs' } glob('/sys/*'), grep { $_ ne '/sys/fs/cgroup' } glob '/sys/fs/*';
  my @found = writable_below('/proc/sys', @files);
  $! = Errno::EACCES;
  return @found > 0;
};
attempt 'write a file of a cgroup', sub {
  my @found = writable_below('/sys/fs/cgroup');
  $! = Errno::EACCES;
  return @found > 0;
};
attempt 'find a release_agent', sub {
  my @todo = ('/sys/fs/cgroup');
  while (defined(my $path = pop @todo)) {
    return 1 if -e "$path/release_agent";
    push @todo, grep { -d && !-l } glob "$path/*";
  }
  $! = Errno::ENOENT;
  return 0;
};
attempt 'leave for the cgroup above', sub { writable('/sys/fs/cgroup/pids/cgroup.procs') };
sub readable {
  sysopen my $file, $_[0], O_RDONLY | O_NONBLOCK or return 0;
  return (sysread($file, my $bytes, 64) // 0) > 0;
}
for my $path ('/proc/kcore', '/proc/keys', '/proc/timer_list', '/proc/kpageflags', '/dev/mem', '/dev/kmsg', '/dev/vda') {
  attempt "read $path", sub { readable($path) || ($! ||= Errno::ENODATA) && 0 };
}
attempt 'see firmware', sub {
  opendir my $directory, '/sys/firmware' or return 0;
  my @names = grep { !/^\./ } readdir $directory;
  $! = Errno::ENODATA;
  return @names > 0;
};
attempt 'see addresses of the kernel', sub {
  open my $file, '<', '/proc/kallsyms' or return 0;
  while (<$file>) { return 1 if !/^0+ / }
  $! = Errno::ENODATA;
  return 0;
};
attempt "read the host's file by its path", sub { readable($ENV{CANARY}) };
attempt "read the host's file by the root of a process", sub {
  for my $root (glob '/proc/[0-9]*/root') { return 1 if readable("$root$ENV{CANARY}") }
  return 0;
};
attempt "read the host's file from the working directory", sub { readable('../' x 40 . substr $ENV{CANARY}, 1) };
