# Ways to new or other namespaces and mounts: 2022-0185, 2023-0386, 2023-2640, 2023-32629, 2024-1086, 2023-32233.
attempt 'unshare a user namespace', sub { call(272, 0x1000_0000) };
attempt 'unshare a mount namespace', sub { call(272, 0x2_0000) };
attempt 'unshare a network namespace', sub { call(272, 0x4000_0000) };
attempt 'unshare a cgroup namespace', sub { call(272, 0x200_0000) };
attempt 'clone into a user namespace', sub {
  my $pid = syscall(56, 0x1000_0011, 0, 0, 0, 0);
  exit 0 if $pid == 0;
  return $pid > 0;
};
attempt 'clone3 into a user namespace', sub {
  my $arguments = pack('Q8', 0x1000_0000, 0, 0, 0, 17, 0, 0, 0);
  my $pid = syscall(435, $arguments, 64);
  exit 0 if $pid == 0;
  return $pid > 0;
};
attempt 'setns', sub { open my $namespace, '<', '/proc/self/ns/uts' or die $!; call(308, fileno $namespace, 0) };
attempt 'setns by a pidfd', sub { my $pidfd = syscall(434, getppid, 0); call(308, $pidfd, 0x400_0000) };
attempt 'mount a memory file system', sub { call(165, 'none', '/tmp', 'tmpfs', 0, 0) };
attempt 'mount proc(5) again', sub { call(165, 'none', '/tmp', 'proc', 0, 0) };
attempt 'mount by fsopen', sub { call(430, 'tmpfs', 0) };
attempt 'fspick', sub { call(433, -100, '/', 0) };
attempt 'open_tree', sub { call(428, -100, '/', 1) };
attempt 'exchange a mount point: bind', sub { call(165, '/tmp', '/etc', '', 4096, 0) };
attempt 'exchange a mount point: remount the root writable', sub { call(165, '', '/', '', 32 | 4096, 0) };
attempt 'exchange a mount point: unmount', sub { call(166, '/proc', 2) };
attempt 'make all mounts shared', sub { call(165, '', '/', '', 16384 | 1048576, 0) };
attempt 'mount a cgroup hierarchy', sub { call(165, 'none', '/tmp', 'cgroup', 0, 'memory') };
