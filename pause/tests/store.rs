//! `pause store`: files from standard input.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, symlink};
use std::process::{Command, Output, Stdio};

use pause::store::{END, Entry, HEADER_LEN};

use crate::stage::{Directory, program};

/// Runs it in this directory with this input.
fn store(directory: &Directory, input: &[u8]) -> Output {
    let mut child = Command::new(program())
        .arg("store")
        .current_dir(directory.join("."))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    // It may have ended before all of it is written.
    let _ = child.stdin.take().expect("a pipe").write_all(input);
    child.wait_with_output().expect("it ends")
}

fn entry(path: &str, mode: u32, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).expect("a short file");
    let header = Entry { path: path.as_bytes(), mode, length }.header().expect("a short path");
    [&header, content].concat()
}

#[test]
fn files_are_written_with_their_content_and_permissions() {
    let directory = Directory::new();
    let content: Vec<u8> = (0..1_000_003_u32).map(|at| (at * 31 + at / 257) as u8).collect();
    let input = [
        entry("large", 0o444, &content),
        entry("empty", 0o000, b""),
        entry("small", 0o640, b"x"),
        END.to_vec(),
        entry("late", 0o444, b"behind the end"),
    ];
    let output = store(&directory, &input.concat());
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
    let mode = |name: &str| fs::metadata(directory.join(name)).expect("a file").mode() & 0o7777;
    assert_eq!((mode("large"), mode("empty"), mode("small")), (0o444, 0, 0o640));
    assert!(fs::read(directory.join("large")).expect("readable") == content);
    assert!(!directory.join("late").exists(), "it stops at the end");
}

#[test]
fn file_or_link_of_the_same_name_is_replaced() {
    let directory = Directory::new();
    let (old, other) = (directory.join("old"), directory.join("other"));
    fs::write(&old, "old content").expect("a file");
    fs::write(&other, "other").expect("a file");
    symlink(&other, directory.join("link")).expect("a link");
    let input = [entry("old", 0o600, b"new"), entry("link", 0o600, b"own"), END.to_vec()];
    let output = store(&directory, &input.concat());
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(fs::read_to_string(&old).expect("readable"), "new");
    assert_eq!(fs::read_to_string(directory.join("link")).expect("readable"), "own");
    assert_eq!(fs::read_to_string(&other).expect("readable"), "other");
}

#[test]
fn stream_that_breaks_off_is_a_failure_and_its_last_file_is_private() {
    let directory = Directory::new();
    let whole = entry("file", 0o444, b"content");
    for length in [whole.len(), whole.len() - 1, HEADER_LEN, HEADER_LEN - 1, 1, 0] {
        let output = store(&directory, &whole[..length]);
        assert_eq!(output.status.code(), Some(1), "{length} bytes");
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(words.ends_with(": input/output error\n"), "{length} bytes: {words}");
    }
    store(&directory, &whole[..whole.len() - 1]);
    assert_eq!(fs::metadata(directory.join("file")).expect("a file").mode() & 0o7777, 0o600);
}

#[test]
fn file_that_cannot_be_written_is_named() {
    let directory = Directory::new();
    fs::create_dir(directory.join("folder")).expect("a folder");
    for (path, words) in [
        ("none/file", "pause: cannot write `none/file`: no such file or directory\n"),
        ("folder", "pause: cannot write `folder`: error 17\n"),
    ] {
        let output = store(&directory, &entry(path, 0o444, b"x"));
        assert_eq!(output.status.code(), Some(1), "{path}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), words);
    }
    let output = store(&directory, &[b'x'; HEADER_LEN]);
    assert_eq!(output.status.code(), Some(1));
    let words = format!("pause: cannot write `{}`: file name too long\n", "x".repeat(40));
    assert_eq!(String::from_utf8_lossy(&output.stderr), words);
}
