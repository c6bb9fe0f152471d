# System calls that have led into kernels. Arguments are wrong where the right ones would change the machine: only a
# filter answers before they are looked at.
attempt 'bpf', sub { call(321, 5, pack('x128'), 128) };
attempt 'perf_event_open', sub { call(298, pack('LLQx48', 1, 64, 0), 0, -1, -1, 0) };
attempt 'userfaultfd', sub { call(323, 0) };
attempt 'io_uring_setup', sub { call(425, 1, pack('x120')) };
attempt 'keyctl', sub { call(250, 0, -3, 1) };
attempt 'add_key', sub { call(248, 'user', 'plinth', 'x', 1, -3) };
attempt 'request_key', sub { call(249, 'user', 'plinth', 0, 0) };
attempt 'fanotify_init', sub { call(300, 0, 0) };
attempt 'cachestat', sub { open my $file, '<', '/etc/passwd' or die $!; call(451, fileno $file, pack('QQ', 0, 0), pack('x40'), 0) };
attempt 'init_module', sub { call(175, 0, 0, 0) };
attempt 'finit_module', sub { call(313, -1, 0, 0) };
attempt 'delete_module', sub { call(176, 'no_such_module', 0) };
attempt 'kexec_load', sub { call(246, 0, 0, 0, 0xff) };
attempt 'swapon', sub { call(167, '/nothing', 0) };
attempt 'acct', sub { call(163, '/nothing') };
attempt 'iopl', sub { call(172, 0) };
attempt 'read the log of the kernel', sub { call(103, 10, 0, 0) };
attempt 'kcmp', sub { call(312, $$ + 0, $$ + 0, 0, 0, 0) };
attempt 'move_pages', sub { call(279, 0, 0, 0, 0, 0, 0) };
attempt 'quotactl', sub { call(179, 0, 0, 0, 0) };
attempt 'reboot', sub { call(169, 0, 0, 0, 0) };
attempt 'sethostname', sub { call(170, 'escaped', 7) };
attempt 'setdomainname', sub { call(171, 'escaped', 7) };
# 2019-5489: which pages of a file others have read.
attempt 'mincore', sub {
  open my $file, '<', '/bin/dash' or die $!;
  my $address = syscall(9, 0, 4096, 1, 2, fileno $file, 0);
  call(27, $address, 4096, "\0");
};
attempt 'a read that does not wait', sub {
  open my $file, '<', '/bin/dash' or die $!;
  sysread $file, my $bytes, 16;
  my $buffer = "\0" x 16;
  call(327, fileno $file, pack('PQ', $buffer, 16), 1, 0, 0, 8);
};
