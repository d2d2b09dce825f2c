//! `pause cat`: a file, and nothing that is not one.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use nix::sys::stat::Mode;

use crate::stage::{Directory, program, run_program};

#[test]
fn a_file_comes_out_byte_for_byte() {
    let directory = Directory::new();
    let (file, link, empty) = (directory.join("file"), directory.join("link"), directory.join("empty"));
    let content: Vec<u8> = (0..1_000_003_u32).map(|at| (at * 31 + at / 257) as u8).collect();
    fs::write(&file, &content).expect("a file");
    fs::write(&empty, "").expect("a file");
    symlink(&file, &link).expect("a link");
    for (path, want) in [(&file, content.as_slice()), (&link, &content), (&empty, &[])] {
        let output = run_program(&["cat", path.to_str().expect("a path")]);
        assert_eq!(output.status.code(), Some(0));
        assert!(output.stdout == want, "{} of {} bytes", output.stdout.len(), want.len());
        assert!(output.stderr.is_empty());
    }
}

#[test]
fn whatever_is_not_a_regular_file_is_refused_at_once() {
    let directory = Directory::new();
    let fifo = directory.join("fifo");
    nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).expect("a FIFO");
    let fifo = fifo.to_str().expect("a path");
    let cases = [
        (fifo, format!("pause: cannot read `{fifo}`: not a regular file\n")),
        ("/etc", "pause: cannot read `/etc`: not a regular file\n".into()),
        ("/dev/zero", "pause: cannot read `/dev/zero`: not a regular file\n".into()),
        ("/nowhere", "pause: cannot open `/nowhere`: no such file or directory\n".into()),
        ("/etc/passwd/x", "pause: cannot open `/etc/passwd/x`: not a directory\n".into()),
    ];
    for (path, words) in cases {
        let output = run_program(&["cat", path]);
        assert_eq!(output.status.code(), Some(1), "{path}");
        assert!(output.stdout.is_empty(), "{path}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), words);
    }
}

#[test]
fn an_output_that_takes_nothing_is_a_failure() {
    let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
    let output = Command::new(program())
        .args(["cat", "/etc/passwd"])
        .stdout(Stdio::from(full))
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let words = "pause: cannot write out `/etc/passwd`: no space left on device\n";
    assert_eq!(String::from_utf8_lossy(&output.stderr), words);
}
