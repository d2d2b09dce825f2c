//! Checks whether a seccomp profile in Docker's JSON allows nothing that Docker's default profile denies.
//!
//! The check accepts only simple profiles. The profile must deny by default. Its rules may allow only system
//! calls that every container may make under the default profiles of all engines since 20.10. A rule may also
//! repeat a condition of these profiles (moby `profiles/seccomp/default.json`). Every other profile needs
//! `--allow unconfined`.

use serde_json::{Map, Value};

/// System calls that every default profile allows with any arguments, on every kernel and without
/// capabilities.
const ALLOWED: &str = "\
    _llseek _newselect accept accept4 access adjtimex alarm arch_prctl bind brk capget capset chdir chmod chown \
    chown32 clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 \
    clock_nanosleep clock_nanosleep_time64 close close_range connect copy_file_range creat dup dup2 dup3 \
    epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd \
    eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark \
    fchdir fchmod fchmodat fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock fork \
    fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futex futex_time64 \
    futex_waitv futimesat get_robust_list get_thread_area getcpu getcwd getdents getdents64 getegid getegid32 \
    geteuid geteuid32 getgid getgid32 getgroups getgroups32 getitimer getpeername getpgid getpgrp getpid getppid \
    getpriority getrandom getresgid getresgid32 getresuid getresuid32 getrlimit getrusage getsid getsockname \
    getsockopt gettid gettimeofday getuid getuid32 getxattr inotify_add_watch inotify_init inotify_init1 \
    inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit ioctl \
    ioprio_get ioprio_set ipc kill landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lchown32 \
    lgetxattr link linkat listen listxattr llistxattr lremovexattr lseek lsetxattr lstat lstat64 madvise membarrier \
    memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mmap2 mprotect \
    mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 \
    mq_unlink mremap msgctl msgget msgrcv msgsnd msync munlock munlockall munmap nanosleep newfstatat open openat \
    openat2 pause pidfd_open pidfd_send_signal pipe pipe2 poll ppoll ppoll_time64 prctl pread64 preadv preadv2 \
    prlimit64 process_mrelease pselect6 pselect6_time64 pwrite64 pwritev pwritev2 read readahead readlink readlinkat \
    readv recv recvfrom recvmmsg recvmmsg_time64 recvmsg remap_file_pages removexattr rename renameat renameat2 \
    restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend \
    rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min \
    sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval \
    sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield \
    seccomp select semctl semget semop semtimedop semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg sendto \
    set_robust_list set_thread_area set_tid_address setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 \
    setgroups setgroups32 setitimer setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid \
    setresuid32 setreuid setreuid32 setrlimit setsid setsockopt setuid setuid32 setxattr shmat shmctl shmdt shmget \
    shutdown sigaltstack signalfd signalfd4 sigprocmask sigreturn socketcall socketpair splice stat stat64 statfs \
    statfs64 statx symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete \
    timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime \
    timerfd_gettime64 timerfd_settime timerfd_settime64 times tkill truncate truncate64 ugetrlimit umask uname \
    unlink unlinkat utime utimensat utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid write writev";

/// System calls that a default profile allows to a container with the capability. The kernel checks the
/// capability too.
const WITH_CAPABILITY: [(&str, &str); 14] = [
    ("CAP_DAC_READ_SEARCH", "open_by_handle_at"),
    (
        "CAP_SYS_ADMIN",
        "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr move_mount \
         open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare",
    ),
    ("CAP_SYS_BOOT", "reboot"),
    ("CAP_SYS_CHROOT", "chroot"),
    ("CAP_SYS_MODULE", "delete_module init_module finit_module"),
    ("CAP_SYS_PACCT", "acct"),
    ("CAP_SYS_PTRACE", "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace"),
    ("CAP_SYS_RAWIO", "iopl ioperm"),
    ("CAP_SYS_TIME", "settimeofday stime clock_settime"),
    ("CAP_SYS_TTY_CONFIG", "vhangup"),
    ("CAP_SYS_NICE", "get_mempolicy mbind set_mempolicy"),
    ("CAP_SYSLOG", "syslog"),
    ("CAP_BPF", "bpf"),
    ("CAP_PERFMON", "perf_event_open"),
];

/// `CLONE_NEW*`: a default profile lets a container without `CAP_SYS_ADMIN` create no namespaces.
const NEW_NAMESPACES: u64 = 0x7E02_0000;
/// Values of `personality(2)` that the default profiles allow.
const PERSONALITIES: [u64; 5] = [0x0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];
/// `AF_ALG` and `AF_VSOCK`, which newer default profiles deny.
const CLOSED_FAMILIES: [u64; 2] = [38, 40];

/// Normalises a profile for the engine: the JSON is parsed and written anew, so that the engine reads exactly
/// the profile that was checked here. The engine's parser accepts keys in any case and may choose another one
/// of duplicate keys than the parser here.
pub(super) fn canonical(profile: &str) -> Option<String> {
    serde_json::from_str::<Value>(profile).ok().filter(Value::is_object).map(|profile| profile.to_string())
}

/// Normalises the profile in a `seccomp` option ([`canonical`]), so that equal profiles are equal texts.
/// Other options are returned unchanged.
pub(super) fn canonical_option(option: &str) -> String {
    let profile = option.split_once(['=', ':']).filter(|(name, _)| *name == "seccomp");
    let profile = profile.and_then(|(_, profile)| canonical(profile));
    profile.map_or_else(|| option.to_owned(), |profile| format!("seccomp={profile}"))
}

/// Reports whether the profile allows nothing that a default profile denies. [`canonical`] has normalised the
/// profile.
pub(super) fn is_stricter(profile: &str) -> bool {
    const KEYS: [&str; 5] = ["archMap", "architectures", "defaultAction", "defaultErrnoRet", "syscalls"];
    let Ok(Value::Object(profile)) = serde_json::from_str(profile) else { return false };
    let denies = profile.get("defaultAction").and_then(Value::as_str).is_some_and(is_denial);
    let rules = match profile.get("syscalls") {
        None | Some(Value::Null) => &Vec::new(),
        Some(Value::Array(rules)) => rules,
        Some(_) => return false,
    };
    has_only(&profile, &KEYS)
        && denies
        && rules.iter().all(|rule| rule.as_object().is_some_and(rule_is_stricter))
}

/// Reports whether the object has no other keys. A key in another case counts as another key here, but the
/// engine accepts it.
fn has_only(object: &Map<String, Value>, keys: &[&str]) -> bool {
    object.keys().all(|key| keys.contains(&key.as_str()))
}

fn is_denial(action: &str) -> bool {
    matches!(
        action,
        "SCMP_ACT_ERRNO"
            | "SCMP_ACT_KILL"
            | "SCMP_ACT_KILL_PROCESS"
            | "SCMP_ACT_KILL_THREAD"
            | "SCMP_ACT_TRAP"
    )
}

/// The list under this key, empty if the key is missing; `None` if the value is not a list.
fn list<'a>(object: &'a Map<String, Value>, key: &str) -> Option<&'a [Value]> {
    match object.get(key) {
        None | Some(Value::Null) => Some(&[]),
        Some(Value::Array(items)) => Some(items),
        Some(_) => None,
    }
}

/// The list of strings under this key.
fn texts<'a>(object: &'a Map<String, Value>, key: &str) -> Option<Vec<&'a str>> {
    list(object, key)?.iter().map(Value::as_str).collect()
}

fn rule_is_stricter(rule: &Map<String, Value>) -> bool {
    const KEYS: [&str; 8] =
        ["action", "args", "comment", "errnoRet", "excludes", "includes", "name", "names"];
    const CONDITIONS: [&str; 3] = ["arches", "caps", "minKernel"];
    let empty = Map::new();
    let condition = |key| match rule.get(key) {
        None | Some(Value::Null) => Some(&empty),
        Some(Value::Object(condition)) => {
            Some(condition).filter(|condition| has_only(condition, &CONDITIONS))
        }
        Some(_) => None,
    };
    let (Some(args), Some(mut names), Some(includes), Some(_)) =
        (list(rule, "args"), texts(rule, "names"), condition("includes"), condition("excludes"))
    else {
        return false;
    };
    let Some(capabilities) = texts(includes, "caps") else { return false };
    match rule.get("name") {
        None | Some(Value::Null) => {}
        Some(Value::String(name)) if name.is_empty() => {}
        Some(Value::String(name)) => names.push(name),
        Some(_) => return false,
    }
    if !has_only(rule, &KEYS) || names.is_empty() {
        return false;
    }
    match rule.get("action").and_then(Value::as_str) {
        Some(action) if is_denial(action) => return true,
        Some("SCMP_ACT_ALLOW" | "SCMP_ACT_LOG") => {}
        _ => return false,
    }
    names.iter().all(|name| {
        ALLOWED.split_whitespace().any(|allowed| allowed == *name)
            || argument_is_stricter(name, args)
            // The engine applies the rule if the container has any of the included capabilities, so each must
            // be correct.
            || !capabilities.is_empty() && capabilities.iter().all(|capability| with_capability(capability, name))
    })
}

fn with_capability(capability: &str, name: &str) -> bool {
    WITH_CAPABILITY
        .iter()
        .any(|(known, names)| *known == capability && names.split_whitespace().any(|allowed| allowed == name))
}

/// Reports whether a default profile allows the system call on a condition that is at least as wide as the
/// rule's. The rule must have exactly one condition: the runtime splits several conditions on one argument
/// into separate rules.
fn argument_is_stricter(name: &str, args: &[Value]) -> bool {
    const KEYS: [&str; 4] = ["index", "op", "value", "valueTwo"];
    let [Value::Object(arg)] = args else { return false };
    let number = |key: &str| arg.get(key).map_or(Some(0), Value::as_u64);
    let (Some(0), Some(value), Some(other)) = (number("index"), number("value"), number("valueTwo")) else {
        return false;
    };
    has_only(arg, &KEYS)
        && match (name, arg.get("op").and_then(Value::as_str).unwrap_or_default()) {
            ("clone", "SCMP_CMP_MASKED_EQ") => {
                value & NEW_NAMESPACES == NEW_NAMESPACES && other & NEW_NAMESPACES == 0
            }
            ("clone", "SCMP_CMP_EQ") => value & NEW_NAMESPACES == 0,
            ("personality", "SCMP_CMP_EQ") => PERSONALITIES.contains(&value),
            ("socket", "SCMP_CMP_EQ") => !CLOSED_FAMILIES.contains(&value),
            ("socket", "SCMP_CMP_LT") => value <= CLOSED_FAMILIES[0],
            ("socket", "SCMP_CMP_LE") => value < CLOSED_FAMILIES[0],
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(rules: &str) -> String {
        format!(r#"{{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{rules}]}}"#)
    }

    #[test]
    fn a_profile_is_stricter_where_it_allows_what_every_default_profile_allows() {
        for profile in [
            r#"{"defaultAction": "SCMP_ACT_ERRNO"}"#.to_owned(),
            r#"{"defaultAction": "SCMP_ACT_KILL_PROCESS", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": []}"#.into(),
            with(r#"{"names": ["read", "write", "execve"], "action": "SCMP_ACT_ALLOW"}"#),
            with(r#"{"name": "read", "action": "SCMP_ACT_ALLOW", "args": [], "includes": {}, "excludes": {}}"#),
            with(r#"{"names": ["mount", "bpf"], "action": "SCMP_ACT_ERRNO"}"#),
            with(
                r#"{"names": ["clone"], "action": "SCMP_ACT_ALLOW",
                    "args": [{"index": 0, "value": 2114060288, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]}"#,
            ),
            with(
                r#"{"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 2, "op": "SCMP_CMP_EQ"}]}"#,
            ),
            with(r#"{"names": ["mount", "umount2"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}}"#),
        ] {
            assert!(is_stricter(&profile), "{profile}");
        }
    }

    #[test]
    fn a_profile_that_may_be_wider_is_not_stricter() {
        for profile in [
            "{}".to_owned(),
            with(r#"{"action": "SCMP_ACT_ALLOW"}"#),
            with(r#"{"names": [], "action": "SCMP_ACT_ALLOW"}"#),
            with(
                r#"{"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"], "Caps": []}}"#,
            ),
            with(
                r#"{"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 2114060288,
                    "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ", "Value": 0, "Op": "SCMP_CMP_GE"}]}"#,
            ),
            with(
                r#"{"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 2, "op": "SCMP_CMP_EQ"},
                    {"index": 0, "value": 40, "op": "SCMP_CMP_EQ"}]}"#,
            ),
            "[]".into(),
            "{".into(),
            r#"{"defaultAction": "SCMP_ACT_ALLOW"}"#.into(),
            r#"{"defaultAction": "SCMP_ACT_LOG"}"#.into(),
            r#"{"defaultAction": "SCMP_ACT_ERRNO", "listenerPath": "/run/x.sock"}"#.into(),
            r#"{"defaultAction": "SCMP_ACT_ERRNO", "flags": ["SECCOMP_FILTER_FLAG_SPEC_ALLOW"]}"#.into(),
            with(r#"{"names": ["read", "mount"], "action": "SCMP_ACT_ALLOW"}"#),
            with(r#"{"names": ["read"], "name": "bpf", "action": "SCMP_ACT_ALLOW"}"#),
            with(r#"{"names": ["read", 1], "action": "SCMP_ACT_ALLOW"}"#),
            with(r#"{"names": ["keyctl"], "action": "SCMP_ACT_LOG"}"#),
            with(r#"{"names": ["read"], "action": "SCMP_ACT_NOTIFY"}"#),
            with(r#"{"names": ["read"], "action": "SCMP_ACT_TRACE"}"#),
            with(r#"{"names": ["clone"], "action": "SCMP_ACT_ALLOW"}"#),
            with(
                r#"{"names": ["clone"], "action": "SCMP_ACT_ALLOW",
                    "args": [{"index": 1, "value": 2114060288, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]}"#,
            ),
            with(
                r#"{"names": ["clone"], "action": "SCMP_ACT_ALLOW",
                    "args": [{"index": 0, "value": 1, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]}"#,
            ),
            with(
                r#"{"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 40, "op": "SCMP_CMP_EQ"}]}"#,
            ),
            with(r#"{"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_CHOWN"]}}"#),
            with(
                r#"{"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN", "CAP_CHOWN"]}}"#,
            ),
        ] {
            assert!(!is_stricter(&profile), "{profile}");
        }
    }

    #[test]
    fn a_profile_is_sent_as_it_was_read() {
        let doubled = r#"{"syscalls": [{"names": ["mount"], "action": "SCMP_ACT_ALLOW"}], "syscalls": []}"#;
        assert_eq!(canonical(doubled).as_deref(), Some(r#"{"syscalls":[]}"#));
        assert_eq!(canonical("[1]"), None);
        assert_eq!(canonical("{"), None);
    }
}
