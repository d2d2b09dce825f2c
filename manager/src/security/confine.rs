//! What the manager may still ask of the kernel once everything is open: the system calls that it makes
//! (seccomp), and no file, port or signal (Landlock). Neither is needed for rule 1; both are for the day on which
//! somebody takes the manager over by a fault in it.

use std::collections::BTreeMap;
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, NetPort, RulesetAttr, RulesetCreatedAttr,
    RulesetError, RulesetStatus, Scope, path_beneath_rules,
};
use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

use engine::EngineAddress;

/// Where the system's resolver looks for how names are found.
const RESOLVER_FOLDER: &str = "/etc";
/// What is asked of Landlock. No newer one: from the ninth on the paths of unix sockets count too, by inode, and an
/// engine that is restarted makes its socket anew.
const LANDLOCK: ABI = ABI::V6;

/// The way to the engine, as far as the kernel can tell one from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineTransport {
    /// A unix socket.
    Unix,
    /// TCP to this port.
    Tcp {
        /// The port.
        port: u16,
        /// The host has a name that must be looked up.
        named: bool,
    },
}

/// What came of it.
#[derive(Debug)]
pub struct Confinement {
    /// How many system calls are left; or why all of them are.
    pub system_calls: Result<usize, String>,
    /// How much of Landlock is in force.
    pub landlock: Landlock,
}

/// How much of Landlock is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Landlock {
    /// Files, ports, abstract sockets and signals.
    Whole,
    /// What this kernel has of it: files at least.
    Partly,
    /// Nothing, and why.
    None(String),
}

impl From<&EngineAddress> for EngineTransport {
    fn from(address: &EngineAddress) -> Self {
        match address {
            EngineAddress::Unix(_) => Self::Unix,
            EngineAddress::Tcp { host, port } | EngineAddress::Tls { host, port, .. } => {
                Self::Tcp { port: *port, named: host.parse::<std::net::IpAddr>().is_err() }
            }
        }
    }
}

/// Confine this process for good. It must have one thread (threads that it starts inherit it) and `no_new_privs`.
/// `groups` is the folder of the host's cgroup tree in which it makes and removes cgroups, where it has one.
pub fn confine(way: EngineTransport, groups: Option<&Path>) -> Confinement {
    // First Landlock: its system calls are not among those that are left.
    let landlock = restrict_files(way, groups).unwrap_or_else(|error| Landlock::None(error.to_string()));
    Confinement {
        system_calls: restrict_calls(way, groups.is_some()).map_err(|error| error.to_string()),
        landlock,
    }
}

fn restrict_files(way: EngineTransport, groups: Option<&Path>) -> Result<Landlock, RulesetError> {
    let ruleset = landlock::Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(LANDLOCK))?
        .handle_access(AccessNet::from_all(LANDLOCK))?
        .scope(Scope::from_all(LANDLOCK))?;
    let mut ruleset = ruleset.create()?;
    if let EngineTransport::Tcp { port, named } = way {
        ruleset = ruleset.add_rule(NetPort::new(port, AccessNet::ConnectTcp))?;
        if named {
            let read = AccessFs::ReadFile | AccessFs::ReadDir;
            ruleset = ruleset.add_rules(path_beneath_rules([RESOLVER_FOLDER], read))?;
        }
    }
    if let Some(groups) = groups {
        let folders = AccessFs::ReadDir | AccessFs::MakeDir | AccessFs::RemoveDir;
        let files = AccessFs::ReadFile | AccessFs::WriteFile;
        ruleset = ruleset.add_rules(path_beneath_rules([groups], folders | files))?;
    }
    Ok(match ruleset.restrict_self()?.ruleset {
        RulesetStatus::FullyEnforced => Landlock::Whole,
        RulesetStatus::PartiallyEnforced => Landlock::Partly,
        RulesetStatus::NotEnforced => {
            Landlock::None("the kernel has none, or the engine keeps it out".into())
        }
    })
}

fn restrict_calls(way: EngineTransport, groups: bool) -> Result<usize, seccompiler::Error> {
    let rules = calls(way, groups)?;
    let count = rules.len();
    // As a kernel answers that is older than the call: libraries take an older one that they know, or report.
    let others = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let machine = std::env::consts::ARCH.try_into()?;
    let filter = SeccompFilter::new(rules, others, SeccompAction::Allow, machine)?;
    let program: BpfProgram = filter.try_into()?;
    seccompiler::apply_filter(&program)?;
    Ok(count)
}

/// The system calls that the manager makes once it is set up, each with its conditions, one of which must hold; none
/// is no condition. Not among them: to start a program or a process, to open a file (but the resolver's, and those of cgroups), to
/// listen, to trace, to mount, to change user, to map memory that can be executed.
fn calls(way: EngineTransport, groups: bool) -> Result<BTreeMap<i64, Vec<SeccompRule>>, seccompiler::Error> {
    let mut calls: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    let mut allow = |some: &[i64]| calls.extend(some.iter().map(|call| (*call, Vec::new())));
    // Memory, threads, time.
    allow(&[
        libc::SYS_brk,
        libc::SYS_madvise,
        libc::SYS_mremap,
        libc::SYS_munmap,
        libc::SYS_exit,
        libc::SYS_exit_group,
        libc::SYS_futex,
        libc::SYS_getpid,
        libc::SYS_gettid,
        libc::SYS_rseq,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_sched_getaffinity,
        libc::SYS_sched_yield,
        libc::SYS_set_robust_list,
        libc::SYS_sigaltstack,
        libc::SYS_clock_gettime,
        libc::SYS_clock_nanosleep,
        libc::SYS_getrandom,
        libc::SYS_nanosleep,
        libc::SYS_restart_syscall,
    ]);
    // What is open, and sockets.
    allow(&[
        libc::SYS_close,
        libc::SYS_fcntl,
        libc::SYS_fstat,
        libc::SYS_ftruncate,
        libc::SYS_lseek,
        libc::SYS_newfstatat,
        libc::SYS_pread64,
        libc::SYS_read,
        libc::SYS_readv,
        libc::SYS_statx,
        libc::SYS_write,
        libc::SYS_writev,
        libc::SYS_epoll_ctl,
        libc::SYS_epoll_pwait,
        libc::SYS_ppoll,
        libc::SYS_connect,
        libc::SYS_getpeername,
        libc::SYS_getsockname,
        libc::SYS_getsockopt,
        libc::SYS_recvfrom,
        libc::SYS_recvmsg,
        libc::SYS_sendmsg,
        libc::SYS_sendto,
        libc::SYS_setsockopt,
        libc::SYS_shutdown,
    ]);
    #[cfg(target_arch = "x86_64")]
    allow(&[libc::SYS_epoll_wait, libc::SYS_poll]);
    if matches!(way, EngineTransport::Tcp { named: true, .. }) {
        // The resolver asks the kernel for its addresses (netlink), and name servers over UDP.
        allow(&[libc::SYS_bind, libc::SYS_openat, libc::SYS_sendmmsg, libc::SYS_uname]);
    }
    if groups {
        allow(&[libc::SYS_getdents64, libc::SYS_mkdirat, libc::SYS_openat, libc::SYS_unlinkat]);
        #[cfg(target_arch = "x86_64")]
        allow(&[libc::SYS_mkdir, libc::SYS_rmdir]);
    }
    let families: &[i32] = match way {
        EngineTransport::Unix => &[libc::AF_UNIX],
        EngineTransport::Tcp { named: false, .. } => &[libc::AF_INET, libc::AF_INET6],
        EngineTransport::Tcp { named: true, .. } => {
            &[libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK, libc::AF_UNIX]
        }
    };
    let threads = libc::CLONE_VM | libc::CLONE_THREAD | libc::CLONE_SIGHAND;
    let ioctls = [libc::FIOCLEX, libc::FIONBIO, libc::FIONREAD];
    let names = [libc::PR_SET_NAME, libc::PR_GET_DUMPABLE];
    let only = |argument, values: &[u64]| -> Result<Vec<SeccompRule>, seccompiler::Error> {
        values.iter().map(|value| rule(argument, SeccompCmpOp::Eq, *value)).collect()
    };
    calls.insert(libc::SYS_socket, only(0, &families.iter().map(|one| wide(*one)).collect::<Vec<_>>())?);
    calls.insert(libc::SYS_ioctl, only(1, &ioctls)?);
    calls.insert(libc::SYS_prctl, only(0, &names.map(wide))?);
    // A thread may be started, a process not. Flags of the newer `clone3` cannot be seen here.
    calls.insert(libc::SYS_clone, vec![rule(0, SeccompCmpOp::MaskedEq(wide(threads)), wide(threads))?]);
    // No memory that can be executed.
    let data = || rule(2, SeccompCmpOp::MaskedEq(wide(libc::PROT_EXEC)), 0);
    calls.insert(libc::SYS_mmap, vec![data()?]);
    calls.insert(libc::SYS_mprotect, vec![data()?]);
    // A panic ends the process by a signal to itself.
    calls.insert(libc::SYS_tgkill, only(0, &[u64::from(std::process::id())])?);
    // The limit of the stack is asked for; none is set.
    calls.insert(libc::SYS_prlimit64, only(2, &[0])?);
    Ok(calls)
}

fn rule(argument: u8, operator: SeccompCmpOp, value: u64) -> Result<SeccompRule, seccompiler::Error> {
    let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)?;
    Ok(SeccompRule::new(vec![condition])?)
}

fn wide(value: i32) -> u64 {
    u64::from(value.unsigned_abs())
}
