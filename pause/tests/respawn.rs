//! Crashes of the child: restarted, bounded, and cleaned up after when a stop comes in between.

use std::time::{Duration, Instant};

use nix::sys::signal::{self, Signal};

use crate::stage::{SAY_EXIT_7, SAY_HEALTHY, SAY_HOLD_1, Stage, is_zombie, until};

/// A life says which one it is, and what it was told.
const BORN: &str = "echo born stop=$TANDEM_STOP";

#[test]
fn a_crash_is_restarted_five_times_then_it_is_the_pods_status() {
    let begin = Instant::now();
    let mut pod = Stage::supervising("echo born; kill -9 $$").start();
    let mut births = vec![];
    for count in 1..=6 {
        let lives = |bytes: &[u8]| String::from_utf8_lossy(bytes).matches("born").count() >= count;
        pod.out.until(&format!("life {count}"), lives);
        births.push(Instant::now());
    }
    assert_eq!(pod.wait(), 128 + 9);
    let downs: Vec<_> = births.windows(2).map(|pair| pair[1] - pair[0]).collect();
    for (down, least) in downs.iter().zip([100, 500, 1500, 3000, 5000]) {
        // What a thread was late to notice of the earlier birth is missing here.
        assert!(*down + Duration::from_millis(50) >= Duration::from_millis(least), "{downs:?}");
    }
    assert!(downs[..3].iter().all(|down| *down < Duration::from_secs(2)), "{downs:?}");
    assert!(begin.elapsed() < Duration::from_secs(20));
    let err = pod.err.at_end();
    let killed = "pause: the child was killed by signal 9";
    let mut want: String = [100, 500, 1500, 3000, 5000]
        .iter()
        .zip(1..)
        .map(|(after, attempt)| {
            format!("{killed}: starting it again in {after} ms ({attempt} of 5 restarts within 60 s)\n")
        })
        .collect();
    want += &format!("{killed} once more than 5 restarts within 60 s can mend: ending\n");
    assert_eq!(err, want);
}

#[test]
fn what_runs_beside_the_child_stays_when_it_crashes() {
    let script = "[ -e /proc/self/fd/3 ] && sleep 1000 3>&- & echo born; kill -SEGV $$; sleep 1000";
    let pod = Stage::supervising(script).start();
    pod.out.until("the second life", |bytes| String::from_utf8_lossy(bytes).matches("born").count() >= 2);
    until("the first life's companion is still there", || {
        let output = pod.exec(&["sh", "-c", "cat /proc/[0-9]*/comm"]);
        String::from_utf8_lossy(&output.stdout).matches("sleep").count() >= 2
    });
}

#[test]
fn term_while_the_child_is_down_launches_it_at_once_to_clean_up() {
    for stop in [Signal::SIGTERM, Signal::SIGINT] {
        // The fifth restart would come after five seconds.
        let script = format!("{BORN}; [ \"$TANDEM_STOP\" = 1 ] && exit 33; kill -9 $$");
        let mut pod = Stage::supervising(&script).start();
        pod.err.until_contains("starting it again in 5000 ms");
        let asked = Instant::now();
        pod.signal(stop);
        assert_eq!(pod.wait(), 33);
        assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
        assert!(pod.out.at_end().ends_with("born stop=1\n"));
    }
}

#[test]
fn a_crash_while_stopping_is_cleaned_up_at_once() {
    let script = format!(
        "{BORN}; [ \"$TANDEM_STOP\" = 1 ] && exit 34; trap 'kill -9 $$' TERM; {SAY_HEALTHY}; while :; do sleep 1000 & wait; done"
    );
    let mut pod = Stage::supervising(&script).start();
    pod.until_health("pause healthy");
    pod.signal(Signal::SIGTERM);
    assert_eq!(pod.wait(), 34);
    assert_eq!(pod.out.at_end(), "born stop=\nborn stop=1\n");
    let line =
        "pause: the child was killed by signal 9: starting it again in 0 ms (1 of 5 restarts within 60 s)\n";
    assert_eq!(pod.err.at_end(), line);
}

#[test]
fn term_that_kills_a_life_before_its_handlers_stand_is_cleaned_up_after() {
    // The first life spoke; the second has not when TERM comes; the third cleans up.
    let script = format!(
        "{BORN}; [ \"$TANDEM_STOP\" = 1 ] && exit 35; [ -e \"$0\" ] && exec sleep 1000; : > \"$0\"; {SAY_HEALTHY}; exec sleep 1000"
    );
    let directory = crate::stage::Directory::new();
    let flag = directory.join("flag");
    let mut pod = Stage::new(&["--", "/bin/sh", "-c", &script, flag.to_str().expect("a path")]).start();
    pod.until_health("pause healthy");
    let first = pod.child();
    signal::kill(first, Signal::SIGKILL).expect("it runs");
    until("the second life", || pod.living_child().is_some_and(|child| child != first));
    pod.out.until_contains("born stop=\nborn stop=\n");
    pod.signal(Signal::SIGTERM);
    assert_eq!(pod.wait(), 35);
    assert_eq!(pod.out.at_end(), "born stop=\nborn stop=\nborn stop=1\n");
}

#[test]
fn a_verdict_is_kept_over_a_crash_and_the_next_life_cleans_up() {
    let script = format!("{BORN}; {SAY_EXIT_7}; kill -9 $$");
    let mut pod = Stage::supervising(&script).start();
    assert_eq!(pod.wait(), 7);
    let want = format!("born stop=\n{}", "born stop=1\n".repeat(5));
    assert_eq!(pod.out.at_end(), want, "no back-off, and bounded");
}

#[test]
fn the_life_that_cleans_up_need_not_know_the_verdict() {
    let script = format!("[ \"$TANDEM_STOP\" = 1 ] && exit 12; {SAY_EXIT_7}; kill -9 $$");
    let mut pod = Stage::supervising(&script).start();
    assert_eq!(pod.wait(), 7);
}

#[test]
fn what_was_said_just_before_the_end_is_not_lost() {
    // More than pause reads at once, and all of it is there before pause learns of the end.
    let script = format!(
        "[ \"$TANDEM_STOP\" = 1 ] && kill -9 $$; echo ready; read -r _ < \"$0\"; \
         i=0; while [ $i -lt 1000 ]; do {SAY_HEALTHY}; i=$((i+1)); done; {SAY_EXIT_7}; kill -9 $$"
    );
    let directory = crate::stage::Directory::new();
    let fifo = directory.join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
    let mut pod = Stage::new(&["--", "/bin/sh", "-c", &script, fifo.to_str().expect("a path")]).start();
    pod.out.until_contains("ready");
    let child = pod.child();
    pod.signal(Signal::SIGSTOP);
    std::fs::write(&fifo, "go\n").expect("the child reads");
    until("the child has ended", || is_zombie(child));
    pod.signal(Signal::SIGCONT);
    assert_eq!(pod.wait(), 7);
    assert!(!pod.err.at_end().contains("in 100 ms"), "the verdict came first: no back-off");
}

#[test]
fn health_falls_back_to_starting_when_the_child_crashes() {
    let script = format!("[ -e \"$0\" ] && exec sleep 1000; : > \"$0\"; {SAY_HEALTHY}; exec sleep 1000");
    let directory = crate::stage::Directory::new();
    let flag = directory.join("flag");
    let pod = Stage::new(&["--", "/bin/sh", "-c", &script, flag.to_str().expect("a path")]).start();
    pod.until_health("pause healthy");
    signal::kill(pod.child(), Signal::SIGKILL).expect("it runs");
    pod.until_health("pause starting");
}

#[test]
fn every_child_but_the_first_is_told_that_there_was_one_before() {
    let mut pod =
        Stage::supervising("echo ${TANDEM_AGAIN-first}; [ -z $TANDEM_AGAIN ] || exit 3; kill -9 $$")
            .env("TANDEM_AGAIN", "forged")
            .start();
    assert_eq!(pod.wait(), 3);
    assert_eq!(pod.out.at_end(), "first\n1\n");
}

#[test]
fn what_pause_was_started_with_under_its_own_names_is_not_passed_on() {
    let mut pod =
        Stage::supervising("env | grep -E '^TANDEM_(CONTROL|LIFELINE|STOP|OTHER)=' | sort; echo $OTHER")
            .env("TANDEM_STOP", "1")
            .env("TANDEM_CONTROL", "77")
            .env("TANDEM_LIFELINE", "forged")
            .env("TANDEM_OTHER", "kept")
            .env("OTHER", "kept")
            .start();
    assert_eq!(pod.wait(), 0);
    let text = pod.out.at_end();
    let lines: Vec<_> = text.lines().collect();
    let name = lines[1].strip_prefix("TANDEM_LIFELINE=").expect("the lifeline's name");
    assert_eq!(name.len(), 5, "{name}");
    assert!(name.bytes().all(|digit| digit.is_ascii_hexdigit()), "{name}");
    assert_eq!([lines[0], lines[2], lines[3]], ["TANDEM_CONTROL=3", "TANDEM_OTHER=kept", "kept"]);
    assert_eq!(lines.len(), 4, "{text}");
}

#[test]
fn a_child_that_does_not_end_after_a_stop_or_its_verdict_is_killed_with_all_that_it_launched() {
    let deaf = "trap '' TERM; sleep 1000 & while :; do sleep 1000; done";
    let mut stopped = Stage::supervising(&format!("{SAY_HOLD_1}; {SAY_HEALTHY}; {deaf}")).start();
    stopped.until_health("pause healthy");
    let asked = Instant::now();
    stopped.signal(Signal::SIGTERM);
    let mut concluded = Stage::supervising(&format!("{SAY_HOLD_1}; {SAY_EXIT_7}; {deaf}")).start();
    for (pod, status) in [(&mut stopped, 128 + 9), (&mut concluded, 7)] {
        assert_eq!(pod.wait(), status);
        assert!(pod.err.at_end().ends_with("pause: no exit status within 1 s: ending\n"));
    }
    let took = asked.elapsed();
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(8), "{took:?}");
}
