/**
 * The default system call filter: an allow-list in the manner of Docker's default profile, tightened where one shared
 * page cache makes a kernel hole one in every container (AF_ALG, AF_VSOCK, io_uring, key rings, user namespaces,
 * cachestat).
 */

/** OCI runtime-spec `linux.seccomp`, as far as it is used here. */
export interface SeccompProfile {
  readonly defaultAction: string;
  readonly defaultErrnoRet: number;
  readonly architectures: readonly string[];
  readonly syscalls: readonly SeccompRule[];
}

export interface SeccompRule {
  readonly names: readonly string[];
  readonly action: 'SCMP_ACT_ALLOW' | 'SCMP_ACT_ERRNO';
  readonly errnoRet?: number;
  readonly args?: readonly {
    readonly index: number;
    readonly value: number;
    readonly valueTwo?: number;
    readonly op: string;
  }[];
}

const EPERM = 1;
const ENOTTY = 25;
const ENOSYS = 38;
/** As a file system answers that can't do it: programs read again, and wait. */
const EOPNOTSUPP = 95;
/** linux/fs.h */
const RWF_NOWAIT = 8;
/** CLONE_NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET (linux/sched.h). */
const CLONE_NAMESPACES = 0x7e02_0000;

const words = (text: string): string[] => text.split(/\s+/).filter((word) => word !== '');

/** Calls that every program may make. */
export const ALLOWED_SYSCALLS = words(`
  accept accept4 access alarm arch_prctl bind brk capget capset chdir chmod chown clock_adjtime clock_getres clock_gettime clock_nanosleep
  close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old
  epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2
  fadvise64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr flistxattr flock fork
  fremovexattr fsetxattr fstat fstatfs fsync ftruncate futex futex_requeue futex_wait futex_waitv futex_wake futimesat get_robust_list get_thread_area
  getcpu getcwd getdents getdents64 getegid geteuid getgid getgroups getitimer getpeername getpgid getpgrp getpid getppid getpriority
  getrandom getresgid getresuid getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday getuid getxattr
  inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit
  ioprio_get ioprio_set kill landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lgetxattr link linkat listen listxattr
  llistxattr lremovexattr lseek lsetxattr lstat madvise map_shadow_stack membarrier memfd_create memfd_secret mkdir mkdirat mknod mknodat mlock mlock2
  mlockall mmap modify_ldt mprotect mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink mremap mseal msgctl msgget msgrcv
  msgsnd msync munlock munlockall munmap name_to_handle_at nanosleep newfstatat open openat openat2 pause pidfd_getfd pidfd_open pidfd_send_signal pipe
  pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll prctl pread64 preadv prlimit64 process_madvise process_mrelease
  process_vm_readv process_vm_writev pselect6 ptrace pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv recvfrom recvmmsg recvmsg
  remap_file_pages removexattr rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo
  rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr
  sched_getparam sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield
  seccomp select semctl semget semop semtimedop sendfile sendmmsg sendmsg sendto set_robust_list set_thread_area set_tid_address setfsgid
  setfsuid setgid setgroups setitimer setpgid setpriority setregid setresgid setresuid setreuid setrlimit setsid setuid
  setxattr shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 socketpair splice stat statfs statx symlink symlinkat sync
  sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime timer_settime timerfd_create
  timerfd_gettime timerfd_settime times tkill truncate umask uname unlink unlinkat utime utimensat utimes vfork vmsplice wait4 waitid
  write writev chroot
`);

/**
 * Refused with EPERM, as programs expect from a container. What is on neither list is unknown to this profile and
 * answers ENOSYS, so that a newer C library falls back instead of failing.
 */
export const DENIED_SYSCALLS = words(`
  acct add_key bpf cachestat clock_settime create_module delete_module fanotify_init finit_module fsconfig fsmount fsopen fspick get_kernel_syms
  get_mempolicy init_module io_uring_enter io_uring_register io_uring_setup ioperm iopl kcmp kexec_file_load kexec_load keyctl lookup_dcookie
  mbind migrate_pages mincore mount mount_setattr move_mount move_pages nfsservctl open_by_handle_at open_tree perf_event_open pivot_root query_module
  quotactl quotactl_fd reboot request_key set_mempolicy setdomainname sethostname setns settimeofday stime swapoff swapon sysfs syslog
  umount umount2 unshare uselib userfaultfd ustat vhangup vm86 vm86old
`);

/** personality(2) values that change nothing dangerous: Linux, Linux32, UNAME26, both, and "tell me". */
const PERSONALITIES = [0x0, 0x0008, 0x2_0000, 0x2_0008, 0xffff_ffff];

/** Socket families of ordinary programs: UNIX, INET, INET6; and NETLINK (16) with these protocols. */
const SOCKET_FAMILIES = [1, 2, 10];
const AF_NETLINK = 16;
/**
 * ROUTE, SOCK_DIAG, AUDIT, KOBJECT_UEVENT, GENERIC. Not those that lead into large parts of the kernel, such as XFRM (6)
 * and NETFILTER (12). PAM and sshd refuse logins when an audit socket answers EPERM.
 */
const NETLINK_PROTOCOLS = [0, 4, 9, 15, 16];

/**
 * Levels of socket options that are permitted whole: IP, SOCKET, IPV6, ICMPV6, SCTP, RAW, NETLINK, MPTCP. TCP, UDP and
 * UDPLITE follow with exceptions; all others are ENOSYS.
 */
const OPTION_LEVELS = [0, 1, 41, 58, 132, 255, 270, 284];
/**
 * An option that leads packets into other code of the kernel, which has written into the page cache that containers
 * share: TCP_ULP (kernel TLS, ESP in TCP), UDP_ENCAP (ESP in UDP).
 */
const REFUSED_OPTIONS = [
  { level: 6, option: 31 },
  { level: 17, option: 100 },
  // The kernel takes the options of UDP at this level, too.
  { level: 136, option: 100 },
] as const;

/** Options of these levels have smaller numbers; 2 to the power of 7. */
const OPTION_BITS = 7;

/** asm-generic/ioctl.h: where type and number are in a request. */
const REQUEST_TYPE = 0xff00;
const REQUEST_NUMBER = 0xff;
/** linux/btrfs.h, linux/fs.h: FICLONE, FICLONERANGE, FIDEDUPERANGE. */
const BTRFS_REQUESTS = 0x94;
const CLONE_REQUESTS = [9, 13, 54];
/** SNAP_CREATE, SUBVOL_CREATE, SNAP_CREATE_V2, SUBVOL_CREATE_V2. */
const SUBVOLUME_REQUESTS = [1, 14, 23, 24];

/** The kernel reads these arguments as 32 bits: a comparison of all 64 can be deceived by the others. */
const LOW_BITS = 0xffff_ffff;

export function defaultSeccompProfile(architecture: NodeJS.Architecture = process.arch): SeccompProfile {
  return {
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrnoRet: ENOSYS,
    // Only native calls are allowed: on i386 socketcall(2) hides the family from the filter.
    architectures: [architecture === 'arm64' ? 'SCMP_ARCH_AARCH64' : 'SCMP_ARCH_X86_64'],
    syscalls: [
      { names: ALLOWED_SYSCALLS, action: 'SCMP_ACT_ALLOW' },
      { names: DENIED_SYSCALLS, action: 'SCMP_ACT_ERRNO', errnoRet: EPERM },
      ...PERSONALITIES.map((value) => when('personality', 'SCMP_ACT_ALLOW', { index: 0, value, op: 'SCMP_CMP_EQ' })),
      ...socketRules(),
      ...socketOptionRules(),
      ...readRules(),
      ...controlRules(),
      ...cloneRules(),
      // Its flags are behind a pointer, which a filter cannot read; glibc falls back to clone(2) on ENOSYS.
      { names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: ENOSYS },
    ],
  };
}

/**
 * Old and new calls of libmount(3): it uses the old ones where the new are unknown. Their paths end at the root; what
 * they make, filters can't see.
 */
const NEW_MOUNT_CALLS = words('fsconfig fsmount fsopen fspick mount_setattr move_mount open_tree');
/** What leads out of a root, or into another process. */
const NOT_FOR_SCRIPTS = words('chroot pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace');
/** sys/mount.h */
const MS_RDONLY = 1;
const MS_NOSUID = 2;
const MS_NODEV = 4;
const MS_REMOUNT = 0x20;
const MS_BIND = 0x1000;
/** NOATIME, NODIRATIME, SILENT, RELATIME, STRICTATIME: mount(8) adds what the mount has. */
const MS_OF_TIMES = 0x0120_8c00;
const FLAGS_ARGUMENT = 3;

/**
 * Of a custom mount script: that of containers with mount(2) and umount(2), and without {@link NOT_FOR_SCRIPTS}. With
 * the host's users it can't make a read-only mount writable, above all not that of the shared image.
 */
export function mountScriptSeccompProfile(
  users: 'own' | 'host',
  architecture: NodeJS.Architecture = process.arch,
): SeccompProfile {
  const profile = defaultSeccompProfile(architecture);
  const replaced = new Set([...NEW_MOUNT_CALLS, ...NOT_FOR_SCRIPTS, 'mount', 'umount', 'umount2']);
  const rest = profile.syscalls.map((rule) => ({ ...rule, names: rule.names.filter((name) => !replaced.has(name)) }));
  const flags = (mask: number, value: number): SeccompArgument => sameLowBits(FLAGS_ARGUMENT, value, mask);
  const tightened = MS_REMOUNT | MS_BIND | MS_RDONLY;
  const asItIs = MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV;
  const mounts: SeccompRule[] =
    users === 'own'
      ? [{ names: ['mount'], action: 'SCMP_ACT_ALLOW' }]
      : [
          when('mount', 'SCMP_ACT_ALLOW', flags(MS_REMOUNT, 0)),
          when('mount', 'SCMP_ACT_ALLOW', flags(tightened, tightened)),
          // What generated scripts do to /data, which is mounted like that already: it succeeds and changes nothing.
          { ...when('mount', 'SCMP_ACT_ERRNO', flags((LOW_BITS ^ MS_OF_TIMES) >>> 0, asItIs)), errnoRet: 0 },
        ];
  return {
    ...profile,
    syscalls: [
      ...rest.filter(({ names }) => names.length > 0),
      { names: NOT_FOR_SCRIPTS, action: 'SCMP_ACT_ERRNO', errnoRet: EPERM },
      { names: ['umount', 'umount2'], action: 'SCMP_ACT_ALLOW' },
      ...mounts,
    ],
  };
}

type SeccompArgument = NonNullable<SeccompRule['args']>[number];

function when(name: string, action: SeccompRule['action'], ...args: SeccompArgument[]): SeccompRule {
  return { names: [name], action, ...(action === 'SCMP_ACT_ERRNO' && { errnoRet: EPERM }), args };
}

const sameLowBits = (index: number, value: number, mask = LOW_BITS): SeccompArgument => ({
  index,
  value: mask,
  valueTwo: value,
  op: 'SCMP_CMP_MASKED_EQ',
});

function socketRules(): SeccompRule[] {
  const rules = SOCKET_FAMILIES.map((value) =>
    when('socket', 'SCMP_ACT_ALLOW', { index: 0, value, op: 'SCMP_CMP_EQ' }),
  );
  const netlink = { index: 0, value: AF_NETLINK, op: 'SCMP_CMP_EQ' };
  const last = Math.max(...NETLINK_PROTOCOLS);
  for (let protocol = 0; protocol <= last; protocol += 1) {
    const action = NETLINK_PROTOCOLS.includes(protocol) ? 'SCMP_ACT_ALLOW' : 'SCMP_ACT_ERRNO';
    rules.push(when('socket', action, netlink, { index: 2, value: protocol, op: 'SCMP_CMP_EQ' }));
  }
  rules.push(when('socket', 'SCMP_ACT_ERRNO', netlink, { index: 2, value: last, op: 'SCMP_CMP_GT' }));
  rules.push(when('socket', 'SCMP_ACT_ERRNO', { index: 0, value: AF_NETLINK, op: 'SCMP_CMP_GT' }));
  for (let family = 0; family < AF_NETLINK; family += 1) {
    if (!SOCKET_FAMILIES.includes(family))
      rules.push(when('socket', 'SCMP_ACT_ERRNO', { index: 0, value: family, op: 'SCMP_CMP_EQ' }));
  }
  return rules;
}

/** A filter can name what is the same, not what differs: the numbers around a refused one are permitted bit by bit. */
function socketOptionRules(): SeccompRule[] {
  const rules = OPTION_LEVELS.map((level) => when('setsockopt', 'SCMP_ACT_ALLOW', sameLowBits(1, level)));
  for (const { level, option } of REFUSED_OPTIONS) {
    const ofLevel = sameLowBits(1, level);
    rules.push(when('setsockopt', 'SCMP_ACT_ERRNO', ofLevel, sameLowBits(2, option)));
    for (let bit = 0; bit < OPTION_BITS; bit += 1) {
      // All numbers that have the option's bits above this one, and another at this one.
      const mask = (LOW_BITS - (2 ** bit - 1)) >>> 0;
      const value = ((option ^ (2 ** bit)) & mask) >>> 0;
      rules.push(when('setsockopt', 'SCMP_ACT_ALLOW', ofLevel, sameLowBits(2, value, mask)));
    }
  }
  return rules;
}

/** A read that does not wait shows, as mincore(2) and cachestat(2) do, what others read of the same image. */
function readRules(): SeccompRule[] {
  const flag = (set: number): SeccompArgument => ({
    index: 5,
    value: RWF_NOWAIT,
    valueTwo: set,
    op: 'SCMP_CMP_MASKED_EQ',
  });
  return [
    when('preadv2', 'SCMP_ACT_ALLOW', flag(0)),
    { ...when('preadv2', 'SCMP_ACT_ERRNO', flag(RWF_NOWAIT)), errnoRet: EOPNOTSUPP },
  ];
}

/**
 * A subvolume that a container makes on btrfs would be outside of the limit of its data volume: it is refused as on any
 * other file system. Of the requests of btrfs those stay that all file systems have: clones and duplicates of files.
 */
function controlRules(): SeccompRule[] {
  const ofBtrfs = (number: number): SeccompArgument =>
    sameLowBits(1, (BTRFS_REQUESTS << 8) | number, REQUEST_TYPE | REQUEST_NUMBER);
  const rules = CLONE_REQUESTS.map((number) => when('ioctl', 'SCMP_ACT_ALLOW', ofBtrfs(number)));
  for (const number of SUBVOLUME_REQUESTS)
    rules.push({ ...when('ioctl', 'SCMP_ACT_ERRNO', ofBtrfs(number)), errnoRet: ENOTTY });
  // Every type that differs in one bit or more.
  for (let bit = 0x100; bit < 0x1_0000; bit *= 2)
    rules.push(when('ioctl', 'SCMP_ACT_ALLOW', sameLowBits(1, ((BTRFS_REQUESTS << 8) ^ bit) & bit, bit)));
  return rules;
}

function cloneRules(): SeccompRule[] {
  const rules = [
    when('clone', 'SCMP_ACT_ALLOW', { index: 0, value: CLONE_NAMESPACES, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }),
  ];
  for (let bit = 1; bit <= CLONE_NAMESPACES; bit *= 2) {
    if ((CLONE_NAMESPACES & bit) === 0) continue;
    rules.push(when('clone', 'SCMP_ACT_ERRNO', { index: 0, value: bit, valueTwo: bit, op: 'SCMP_CMP_MASKED_EQ' }));
  }
  return rules;
}
