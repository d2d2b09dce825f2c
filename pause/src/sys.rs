//! Raw system calls as safe functions. No policy, no text; with `start.rs` the only `unsafe`.
//!
//! A function here is safe because it passes to the kernel only memory that it borrows for the length of the
//! call, with the length that it has; numbers that make no sense come back as an error.

use core::arch::asm;
use core::ffi::{CStr, c_char};
use core::marker::PhantomData;
use core::ptr;

use pause::errno::Errno;
use pause::signals::SignalSet;

/// What a system call brings.
pub(crate) type Result<T> = core::result::Result<T, Errno>;

/// The number of a process.
pub(crate) type Pid = i32;

/// `asm/unistd_64.h`
#[cfg(target_arch = "x86_64")]
mod number {
    pub(super) const READ: usize = 0;
    pub(super) const WRITE: usize = 1;
    pub(super) const CLOSE: usize = 3;
    pub(super) const MMAP: usize = 9;
    pub(super) const RT_SIGACTION: usize = 13;
    pub(super) const RT_SIGPROCMASK: usize = 14;
    pub(super) const GETPID: usize = 39;
    pub(super) const SOCKET: usize = 41;
    pub(super) const CONNECT: usize = 42;
    pub(super) const BIND: usize = 49;
    pub(super) const LISTEN: usize = 50;
    pub(super) const GETSOCKNAME: usize = 51;
    pub(super) const CLONE: usize = 56;
    pub(super) const EXECVE: usize = 59;
    pub(super) const WAIT4: usize = 61;
    pub(super) const KILL: usize = 62;
    pub(super) const FCNTL: usize = 72;
    pub(super) const FCHMOD: usize = 91;
    pub(super) const GETUID: usize = 102;
    pub(super) const SETSID: usize = 112;
    pub(super) const SETGROUPS: usize = 116;
    pub(super) const SETRESUID: usize = 117;
    pub(super) const SETRESGID: usize = 119;
    pub(super) const CAPGET: usize = 125;
    pub(super) const CAPSET: usize = 126;
    pub(super) const PRCTL: usize = 157;
    pub(super) const CLOCK_GETTIME: usize = 228;
    pub(super) const EXIT_GROUP: usize = 231;
    pub(super) const OPENAT: usize = 257;
    pub(super) const UNLINKAT: usize = 263;
    pub(super) const PPOLL: usize = 271;
    pub(super) const ACCEPT4: usize = 288;
    pub(super) const SIGNALFD4: usize = 289;
    pub(super) const DUP3: usize = 292;
    pub(super) const PIPE2: usize = 293;
    pub(super) const STATX: usize = 332;
    pub(super) const CLOSE_RANGE: usize = 436;
}

/// `asm-generic/unistd.h`
#[cfg(target_arch = "aarch64")]
mod number {
    pub(super) const DUP3: usize = 24;
    pub(super) const FCNTL: usize = 25;
    pub(super) const UNLINKAT: usize = 35;
    pub(super) const FCHMOD: usize = 52;
    pub(super) const OPENAT: usize = 56;
    pub(super) const CLOSE: usize = 57;
    pub(super) const PIPE2: usize = 59;
    pub(super) const READ: usize = 63;
    pub(super) const WRITE: usize = 64;
    pub(super) const PPOLL: usize = 73;
    pub(super) const SIGNALFD4: usize = 74;
    pub(super) const CAPGET: usize = 90;
    pub(super) const CAPSET: usize = 91;
    pub(super) const EXIT_GROUP: usize = 94;
    pub(super) const CLOCK_GETTIME: usize = 113;
    pub(super) const KILL: usize = 129;
    pub(super) const RT_SIGACTION: usize = 134;
    pub(super) const RT_SIGPROCMASK: usize = 135;
    pub(super) const SETRESUID: usize = 147;
    pub(super) const SETRESGID: usize = 149;
    pub(super) const SETSID: usize = 157;
    pub(super) const SETGROUPS: usize = 159;
    pub(super) const PRCTL: usize = 167;
    pub(super) const GETPID: usize = 172;
    pub(super) const GETUID: usize = 174;
    pub(super) const SOCKET: usize = 198;
    pub(super) const BIND: usize = 200;
    pub(super) const LISTEN: usize = 201;
    pub(super) const CONNECT: usize = 203;
    pub(super) const GETSOCKNAME: usize = 204;
    pub(super) const CLONE: usize = 220;
    pub(super) const EXECVE: usize = 221;
    pub(super) const MMAP: usize = 222;
    pub(super) const ACCEPT4: usize = 242;
    pub(super) const WAIT4: usize = 260;
    pub(super) const STATX: usize = 291;
    pub(super) const CLOSE_RANGE: usize = 436;
}

// `asm-generic/fcntl.h`; the same on both architectures.
const O_WRONLY: usize = 1;
const O_CREAT: usize = 0o100;
const O_EXCL: usize = 0o200;
const O_NOCTTY: usize = 0o400;
const O_NONBLOCK: usize = 0o4000;
const O_CLOEXEC: usize = 0o2_000_000;
const O_PATH: usize = 0o10_000_000;
const AT_FDCWD: usize = -100_isize as usize;

/// `sizeof(sigset_t)` as the kernel has it.
const SIGSET_SIZE: usize = size_of::<SignalSet>();

/// A descriptor that is closed when its owner is gone.
#[derive(Debug)]
pub(crate) struct Fd(i32);

impl Fd {
    /// Standard input, which belongs to nobody else here.
    pub(crate) const fn stdin() -> Self {
        Self(0)
    }

    pub(crate) const fn raw(&self) -> i32 {
        self.0
    }

    /// Stays open for as long as the process lives.
    pub(crate) const fn keep(self) -> i32 {
        let number = self.0;
        core::mem::forget(self);
        number
    }
}

impl Drop for Fd {
    fn drop(&mut self) {
        // On Linux the number is free again whatever `close` says.
        let _ = call3(self.0 as usize, 0, 0, number::CLOSE);
    }
}

/// Strings that end with a zero byte, behind an array of pointers that ends with a null pointer: what
/// `execve` takes.
#[derive(Clone, Copy)]
pub(crate) struct Strings<'a> {
    next: *const *const c_char,
    lives: PhantomData<&'a CStr>,
}

impl<'a> Strings<'a> {
    /// # Safety
    /// `next` must be such an array, and it and its strings must stay as they are for `'a`.
    pub(crate) const unsafe fn new(next: *const *const c_char) -> Self {
        Self { next, lives: PhantomData }
    }
}

impl<'a> Iterator for Strings<'a> {
    type Item = &'a CStr;

    fn next(&mut self) -> Option<&'a CStr> {
        // SAFETY: the array is as `new` demands, and `self.next` never goes behind its null pointer. So what
        // it points to is null or a string that stays for `'a`.
        unsafe {
            let string = *self.next;
            if string.is_null() {
                return None;
            }
            self.next = self.next.add(1);
            Some(CStr::from_ptr(string))
        }
    }
}

/// Room for [`Strings`] that are collected one by one. Never freed: `execve` follows, or `exit`.
pub(crate) struct Array<'a> {
    first: *mut *const c_char,
    used: usize,
    room: usize,
    lives: PhantomData<&'a CStr>,
}

impl<'a> Array<'a> {
    /// Room for so many strings.
    pub(crate) fn with_room(room: usize) -> Result<Self> {
        const PROT_READ_WRITE: usize = 1 | 2;
        const MAP_PRIVATE_ANONYMOUS: usize = 2 | 0x20;
        const NO_FILE: usize = usize::MAX;
        let bytes = (room + 1) * size_of::<*const c_char>();
        let place = call(0, bytes, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, NO_FILE, number::MMAP).value()?;
        Ok(Self { first: place as *mut *const c_char, used: 0, room, lives: PhantomData })
    }

    /// Adds a string that ends with a zero byte, if there is room.
    pub(crate) fn push(&mut self, string: &'a [u8]) {
        if self.used < self.room && string.last() == Some(&0) {
            // SAFETY: the mapping is ours alone, aligned to a page, and has room for `room` pointers and one
            // that stays null.
            unsafe { self.first.add(self.used).write(string.as_ptr().cast()) };
            self.used += 1;
        }
    }

    /// The strings.
    pub(crate) fn strings(self) -> Strings<'a> {
        // SAFETY: a new mapping is all zero, so a null pointer follows what was pushed; the strings live for
        // `'a`; nobody writes there any more.
        unsafe { Strings::new(self.first) }
    }
}

/// `struct pollfd`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Poll {
    fd: i32,
    events: u16,
    happened: u16,
}

impl Poll {
    const IN: u16 = 1;
    const OUT: u16 = 4;

    /// Nothing: the kernel passes over it.
    pub(crate) const NONE: Self = Self::new(-1, 0);

    const fn new(fd: i32, events: u16) -> Self {
        Self { fd, events, happened: 0 }
    }

    /// Something to read, or its end.
    pub(crate) const fn input(fd: &Fd) -> Self {
        Self::new(fd.0, Self::IN)
    }

    /// Room to write, or nobody left to read it.
    pub(crate) const fn output(fd: i32) -> Self {
        Self::new(fd, Self::OUT)
    }

    /// Only its end.
    pub(crate) const fn hang_up(fd: &Fd) -> Self {
        Self::new(fd.0, 0)
    }

    /// Whether it happened.
    pub(crate) const fn ready(self) -> bool {
        self.happened != 0
    }
}

/// What a descriptor leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Pipe,
    Socket,
    Character,
    Regular,
    Other,
}

/// `struct sockaddr_un` with an abstract name.
#[repr(C)]
struct Address {
    family: u16,
    /// A zero byte, then the name.
    path: [u8; 108],
}

impl Address {
    const UNIX: u16 = 1;
    /// `sizeof(sa_family_t)`: an address without a name.
    const UNNAMED: usize = 2;
}

/// Ends the process.
pub(crate) fn exit(status: u8) -> ! {
    loop {
        let _ = call3(usize::from(status), 0, 0, number::EXIT_GROUP);
    }
}

/// Reads what is there, at most what fits; 0: the end.
pub(crate) fn read(fd: i32, buffer: &mut [u8]) -> Result<usize> {
    call3(fd as usize, buffer.as_mut_ptr() as usize, buffer.len(), number::READ).value()
}

/// Writes what can be written, and says how much.
pub(crate) fn write(fd: i32, bytes: &[u8]) -> Result<usize> {
    call3(fd as usize, bytes.as_ptr() as usize, bytes.len(), number::WRITE).value()
}

/// Opens a file for reading. Never waits for the other end of a FIFO, never takes a terminal.
pub(crate) fn open_read(path: &CStr) -> Result<Fd> {
    open(path, O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
}

/// Opens what a descriptor of this process leads to once more, for writing that never waits; the other users
/// of the old one do not notice.
pub(crate) fn open_write_nonblocking(path: &CStr) -> Result<Fd> {
    open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
}

/// Takes the lowest free number, for a descriptor that reads and writes nothing, as if it were closed; kept
/// over `execve`.
pub(crate) fn occupy_lowest_fd() -> Result<()> {
    open(c"/", O_PATH).map(|fd| _ = fd.keep())
}

/// Creates a file that only its owner can open, in the place of a file or link of that name, and opens it for writing.
/// Its path ends with a zero byte.
pub(crate) fn replace_private(path: &[u8]) -> Result<Fd> {
    if path.last() != Some(&0) {
        return Err(Errno::NAMETOOLONG);
    }
    let path = path.as_ptr() as usize;
    let _ = call3(AT_FDCWD, path, 0, number::UNLINKAT);
    call(AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600, 0, number::OPENAT).fd()
}

/// Sets the permissions of an open file.
pub(crate) fn set_mode(fd: &Fd, mode: u32) -> Result<()> {
    call3(fd.0 as usize, mode as usize, 0, number::FCHMOD).done()
}

fn open(path: &CStr, flags: usize) -> Result<Fd> {
    call3(AT_FDCWD, path.as_ptr() as usize, flags, number::OPENAT).fd()
}

/// Whether the descriptor is open.
pub(crate) fn is_open(fd: i32) -> bool {
    const F_GETFD: usize = 1;
    call3(fd as usize, F_GETFD, 0, number::FCNTL).is_ok()
}

/// Closes every descriptor from 3 on.
pub(crate) fn close_inherited() {
    const FIRST: usize = 3;
    // Docker's seccomp profile knows `close_range` only since 20.10.10, and refuses what it does not know.
    if call3(FIRST, u32::MAX as usize, 0, number::CLOSE_RANGE).done().is_err() {
        for fd in FIRST..1024 {
            let _ = call3(fd, 0, 0, number::CLOSE);
        }
    }
}

/// Makes `number` lead to what `fd` leads to; kept over `execve`.
pub(crate) fn duplicate(fd: &Fd, number: i32) -> Result<()> {
    call3(fd.0 as usize, number as usize, 0, number::DUP3).done()
}

/// A pipe: its read end, its write end.
pub(crate) fn pipe() -> Result<(Fd, Fd)> {
    let mut ends = [0_i32; 2];
    call3(ends.as_mut_ptr() as usize, O_CLOEXEC, 0, number::PIPE2).done()?;
    Ok((Fd(ends[0]), Fd(ends[1])))
}

/// From now on reading from it does not wait. Only for a descriptor that nobody shares.
pub(crate) fn never_wait(fd: &Fd) -> Result<()> {
    const F_SETFL: usize = 4;
    call3(fd.0 as usize, F_SETFL, O_NONBLOCK, number::FCNTL).done()
}

/// What the descriptor leads to.
pub(crate) fn kind(fd: i32) -> Result<Kind> {
    const AT_EMPTY_PATH: usize = 0x1000;
    const STATX_TYPE: usize = 1;
    /// `struct statx`: 256 bytes on every architecture, which is why it is used here.
    #[repr(C, align(8))]
    struct Statx {
        before: [u8; 28],
        mode: u16,
        after: [u8; 226],
    }
    let mut statx = Statx { before: [0; 28], mode: 0, after: [0; 226] };
    let place = &raw mut statx as usize;
    call(fd as usize, c"".as_ptr() as usize, AT_EMPTY_PATH, STATX_TYPE, place, number::STATX).done()?;
    Ok(match statx.mode & 0o170_000 {
        0o010_000 => Kind::Pipe,
        0o140_000 => Kind::Socket,
        0o020_000 => Kind::Character,
        0o100_000 => Kind::Regular,
        _ => Kind::Other,
    })
}

/// Waits until something of it happens, at most so many milliseconds; `None`: for ever. Nothing happened: the
/// time is over, or a signal came.
pub(crate) fn poll(polls: &mut [Poll], limit_ms: Option<u64>) {
    // The kernel writes the time that was left here.
    let mut limit = [limit_ms.unwrap_or(0) / 1000, limit_ms.unwrap_or(0) % 1000 * 1_000_000];
    let limit = if limit_ms.is_some() { limit.as_mut_ptr() } else { ptr::null_mut() };
    let place = polls.as_mut_ptr() as usize;
    if call(place, polls.len(), limit as usize, 0, SIGSET_SIZE, number::PPOLL).done().is_err() {
        for poll in polls {
            poll.happened = 0;
        }
    }
}

/// Milliseconds of a clock that only goes forward.
pub(crate) fn now_ms() -> u64 {
    const CLOCK_MONOTONIC: usize = 1;
    let mut time = [0_u64; 2];
    // It cannot fail: the clock exists on every kernel.
    let _ = call3(CLOCK_MONOTONIC, time.as_mut_ptr() as usize, 0, number::CLOCK_GETTIME);
    time[0] * 1000 + time[1] / 1_000_000
}

/// Sets the signals that are blocked, and returns those that were. It cannot fail: memory and number are
/// right.
pub(crate) fn set_mask(mask: SignalSet) -> SignalSet {
    const SIG_SETMASK: usize = 2;
    let mut before = SignalSet::EMPTY;
    let (new, old) = (&raw const mask as usize, &raw mut before as usize);
    let _ = call(SIG_SETMASK, new, old, SIGSET_SIZE, 0, number::RT_SIGPROCMASK);
    before
}

/// Gives every signal its default disposition.
pub(crate) fn default_dispositions() {
    // `struct sigaction` with `SIG_DFL`, no flags, an empty mask.
    let default = [0_u64; 4];
    for signal in 1..=64 {
        // KILL and STOP refuse, and have no other.
        let _ = call(signal, default.as_ptr() as usize, 0, SIGSET_SIZE, 0, number::RT_SIGACTION);
    }
}

/// A descriptor that blocked signals are read from. Reading from it does not wait.
pub(crate) fn signal_fd(signals: SignalSet) -> Result<Fd> {
    let none = usize::MAX;
    let place = &raw const signals as usize;
    call(none, place, SIGSET_SIZE, O_CLOEXEC | O_NONBLOCK, 0, number::SIGNALFD4).fd()
}

/// Reads the number of the next signal.
pub(crate) fn next_signal(signals: &Fd) -> Option<u32> {
    // `struct signalfd_siginfo`; the number comes first.
    let mut info = [0_u8; 128];
    read(signals.0, &mut info).ok()?;
    info.first_chunk().copied().map(u32::from_ne_bytes)
}

/// Sends a signal.
pub(crate) fn kill(pid: Pid, signal: u8) -> Result<()> {
    call3(pid as usize, usize::from(signal), 0, number::KILL).done()
}

/// Makes a copy of this process: its number, or `None` in the copy.
pub(crate) fn fork() -> Result<Option<Pid>> {
    const SIGCHLD: usize = pause::signals::SIGCHLD as usize;
    let pid = call3(SIGCHLD, 0, 0, number::CLONE).value()?;
    Ok((pid != 0).then_some(pid as Pid))
}

/// Becomes the leader of a new session without a terminal.
pub(crate) fn new_session() -> Result<()> {
    call3(0, 0, 0, number::SETSID).done()
}

/// Becomes another program, or says why not. Its path ends with a zero byte.
pub(crate) fn execute(path: &[u8], args: Strings<'_>, env: Strings<'_>) -> Errno {
    if path.last() != Some(&0) {
        return Errno::NAMETOOLONG;
    }
    let refused = call3(path.as_ptr() as usize, args.next as usize, env.next as usize, number::EXECVE);
    refused.done().err().unwrap_or(Errno::NOSYS)
}

/// Takes over the end of any child that has ended: its number and its wait status.
pub(crate) fn reap() -> Option<(Pid, i32)> {
    const ANY: usize = usize::MAX;
    const WNOHANG: usize = 1;
    let mut status = 0_i32;
    match call3(ANY, &raw mut status as usize, WNOHANG, number::WAIT4).value() {
        Ok(0) | Err(_) => None,
        Ok(pid) => Some((pid as Pid, status)),
    }
}

/// This process's number.
pub(crate) fn pid() -> Pid {
    call3(0, 0, 0, number::GETPID).0 as Pid
}

/// Whether this process runs as root.
pub(crate) fn is_root() -> bool {
    call3(0, 0, 0, number::GETUID).0 == 0
}

/// Gives up every supplementary group.
pub(crate) fn drop_groups() -> Result<()> {
    call3(0, 0, 0, number::SETGROUPS).done()
}

/// Becomes this user and this group for good.
pub(crate) fn become_user(id: usize) -> Result<()> {
    call3(id, id, id, number::SETRESGID).done()?;
    call3(id, id, id, number::SETRESUID).done()
}

/// `_LINUX_CAPABILITY_VERSION_3` and: this process.
const CAPABILITY_HEADER: [u32; 2] = [0x2008_0522, 0];

/// The capabilities that this process may have in effect: bit `n` for capability `n` (`linux/capability.h`),
/// of which none beyond 31 is asked for here.
pub(crate) fn permitted_capabilities() -> Result<u32> {
    let mut header = CAPABILITY_HEADER;
    // Effective, permitted, inheritable of capabilities 0 to 31; then of 32 to 63.
    let mut data = [0_u32; 6];
    call3(header.as_mut_ptr() as usize, data.as_mut_ptr() as usize, 0, number::CAPGET).done()?;
    Ok(data[1])
}

/// Sets this process's capabilities; the inheritable set and what is beyond 31 become empty.
pub(crate) fn set_capabilities(effective: u32, permitted: u32) -> Result<()> {
    let mut header = CAPABILITY_HEADER;
    let data = [effective, permitted, 0, 0, 0, 0];
    call3(header.as_mut_ptr() as usize, data.as_ptr() as usize, 0, number::CAPSET).done()
}

/// Empties the ambient set. Kernels before 4.3 have none.
pub(crate) fn drop_ambient() {
    const PR_CAP_AMBIENT: usize = 47;
    const PR_CAP_AMBIENT_CLEAR_ALL: usize = 4;
    let _ = prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL);
}

/// Empties the bounding set, as far as this process may.
pub(crate) fn drop_bounding() {
    const PR_CAPBSET_DROP: usize = 24;
    for capability in 0..64 {
        let _ = prctl(PR_CAPBSET_DROP, capability);
    }
}

/// Nothing that is executed from here on gains privileges.
pub(crate) fn no_new_privileges() -> Result<()> {
    const PR_SET_NO_NEW_PRIVS: usize = 38;
    prctl(PR_SET_NO_NEW_PRIVS, 1)
}

/// Nobody without `CAP_SYS_PTRACE` looks into this process or through its `/proc` entries.
pub(crate) fn not_dumpable() -> Result<()> {
    const PR_SET_DUMPABLE: usize = 4;
    prctl(PR_SET_DUMPABLE, 0)
}

/// Sets this process's name. It cannot fail: a name that is too long is cut.
pub(crate) fn set_name(name: &CStr) {
    const PR_SET_NAME: usize = 15;
    let _ = prctl(PR_SET_NAME, name.as_ptr() as usize);
}

fn prctl(option: usize, argument: usize) -> Result<()> {
    call3(option, argument, 0, number::PRCTL).done()
}

/// A socket on an abstract name of the kernel's choosing ("autobind", `unix(7)`) that listens for one
/// connection. The name is written to `name`, without its leading zero byte.
pub(crate) fn listen(name: &mut [u8; 5]) -> Result<Fd> {
    const BACKLOG: usize = 1;
    let socket = socket()?;
    let fd = socket.0 as usize;
    let mut address = Address { family: Address::UNIX, path: [0; 108] };
    let place = &raw mut address as usize;
    let mut length = size_of::<Address>() as u32;
    call3(fd, place, Address::UNNAMED, number::BIND).done()?;
    call3(fd, BACKLOG, 0, number::LISTEN).done()?;
    call3(fd, place, &raw mut length as usize, number::GETSOCKNAME).done()?;
    let [_, chosen @ ..] = address.path;
    if let Some(chosen) = chosen.first_chunk() {
        *name = *chosen;
    }
    Ok(socket)
}

/// Takes the next connection, if there is one.
pub(crate) fn accept(listener: &Fd) -> Result<Fd> {
    call(listener.0 as usize, 0, 0, O_CLOEXEC | O_NONBLOCK, 0, number::ACCEPT4).fd()
}

/// A connection to the abstract socket of this name. Does not wait.
pub(crate) fn connect(name: &CStr) -> Result<Fd> {
    let socket = socket()?;
    let mut address = Address { family: Address::UNIX, path: [0; 108] };
    let places = address.path.iter_mut().skip(1);
    let used = places.zip(name.to_bytes()).map(|(to, from)| *to = *from).count();
    let place = &raw const address as usize;
    call3(socket.0 as usize, place, Address::UNNAMED + 1 + used, number::CONNECT).done()?;
    Ok(socket)
}

fn socket() -> Result<Fd> {
    const SOCK_SEQPACKET: usize = 5;
    let kind = SOCK_SEQPACKET | O_CLOEXEC | O_NONBLOCK;
    call3(usize::from(Address::UNIX), kind, 0, number::SOCKET).fd()
}

/// What the kernel answers, in one register.
#[derive(Clone, Copy)]
struct Outcome(isize);

impl Outcome {
    const fn is_ok(self) -> bool {
        // An address is never among the last 4095 numbers, so those are errors.
        !matches!(self.0, -4095..=-1)
    }

    const fn value(self) -> Result<usize> {
        if self.is_ok() { Ok(self.0 as usize) } else { Err(Errno(-self.0 as i32)) }
    }

    const fn done(self) -> Result<()> {
        if self.is_ok() { Ok(()) } else { Err(Errno(-self.0 as i32)) }
    }

    /// A new descriptor, which belongs to nobody else yet.
    fn fd(self) -> Result<Fd> {
        self.value().map(|number| Fd(number as i32))
    }
}

/// One of the system calls with at most three arguments, which most have. The number comes last, so that the
/// arguments are in their registers already: `pause` is held to 18 KiB.
#[inline(never)]
fn call3(a: usize, b: usize, c: usize, number: usize) -> Outcome {
    call(a, b, c, 0, 0, number)
}

/// The one door to the kernel. Private: its callers vouch for the memory whose addresses they pass. No call
/// here has a sixth argument other than 0.
#[inline(never)]
fn call(a: usize, b: usize, c: usize, d: usize, e: usize, number: usize) -> Outcome {
    let result: isize;
    // SAFETY: the kernel's calling convention (`syscall(2)`): what is named here is all that it changes.
    // Memory is reached through the addresses that the functions above pass: each comes from a borrow that
    // lasts until the call returns, with its true length. `clone` is called without sharing memory, and with
    // a stack of 0: the copy goes on with its own copy of the stack.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") 0,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") a as isize => result,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e, in("x5") 0,
            options(nostack),
        );
    }
    Outcome(result)
}
