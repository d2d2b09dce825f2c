//! The kernel's error numbers that a user of pause may meet, in words.
#![forbid(unsafe_code)]

/// An error number of the kernel (`asm-generic/errno-base.h` and `errno.h`), positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub i32);

impl Errno {
    /// Not permitted.
    pub const PERM: Self = Self(1);
    /// No such file or directory.
    pub const NOENT: Self = Self(2);
    /// Interrupted.
    pub const INTR: Self = Self(4);
    /// Input or output failed.
    pub const IO: Self = Self(5);
    /// A descriptor that is not open.
    pub const BADF: Self = Self(9);
    /// Would block.
    pub const AGAIN: Self = Self(11);
    /// Permission denied.
    pub const ACCES: Self = Self(13);
    /// A part of the path is not a directory.
    pub const NOTDIR: Self = Self(20);
    /// A file name longer than the kernel takes.
    pub const NAMETOOLONG: Self = Self(36);
    /// No such system call.
    pub const NOSYS: Self = Self(38);

    /// What it means; `None` for one that users of pause do not meet: its number has to do.
    #[must_use]
    pub const fn text(self) -> Option<&'static str> {
        Some(match self.0 {
            1 => "operation not permitted",
            2 => "no such file or directory",
            5 => "input/output error",
            7 => "argument list too long",
            8 => "not a program for this machine",
            11 => "resource temporarily unavailable",
            12 => "out of memory",
            13 => "permission denied",
            20 => "not a directory",
            22 => "invalid argument",
            24 => "too many open files",
            26 => "text file busy",
            28 => "no space left on device",
            36 => "file name too long",
            40 => "too many symbolic links",
            111 => "connection refused",
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::libc;

    #[test]
    fn the_numbers_are_those_of_the_c_library() {
        let cases = [
            (Errno::PERM, libc::EPERM),
            (Errno::NOENT, libc::ENOENT),
            (Errno::INTR, libc::EINTR),
            (Errno::BADF, libc::EBADF),
            (Errno::AGAIN, libc::EAGAIN),
            (Errno::ACCES, libc::EACCES),
            (Errno::NOTDIR, libc::ENOTDIR),
            (Errno::NAMETOOLONG, libc::ENAMETOOLONG),
            (Errno::NOSYS, libc::ENOSYS),
        ];
        for (errno, number) in cases {
            assert_eq!(errno, Errno(number));
        }
    }

    #[test]
    fn the_words_are_those_of_the_c_library_but_for_case() {
        for number in 1..=133 {
            // Ours says what to look at; the C library's "exec format error" does not.
            if let (Some(text), true) = (Errno(number).text(), number != libc::ENOEXEC) {
                let theirs = nix::errno::Errno::from_raw(number).desc().to_lowercase();
                let same = |words: &str| words.replace(['/', '-'], " ");
                let known = same(text) == same(&theirs);
                // nix words a few of them in its own way.
                let reworded = [libc::ENOMEM, libc::EIO, libc::EAGAIN, libc::ELOOP];
                assert!(known || reworded.contains(&number), "{number}: `{text}` and `{theirs}`");
            }
        }
    }
}
