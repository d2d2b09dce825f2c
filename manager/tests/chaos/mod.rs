//! For every kind of call, every fault, once and again and again: the pod converges, or ends with a clear error in its
//! time; no container is there twice; nothing is left. What came of each is a table, `chaos.md` beside this file.
//!
//! `TANDEM_CHAOS=always` plays every fault, and for ever too; every run of the tests has the hardest ones, once.

mod ends;

use std::fmt::Write as _;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::lab::docker::{docker, labelled};
use crate::lab::pod::Pod;
use crate::lab::proxy::{Seen, Verdict};
use crate::lab::{each, idle, script, wait};

/// Pods at once: they mostly wait.
const SIDE_BY_SIDE: usize = 6;
/// Longer than all that is waited for by itself: two calls of 120 s, 30 s for an engine that does not answer, and the stop.
const LIMIT: Duration = Duration::from_secs(360);

/// A kind of call that a pod makes once it has begun.
struct Kind {
    name: &'static str,
    is: fn(&Seen) -> bool,
}

fn get(seen: &Seen) -> bool {
    seen.method == "GET"
}

fn lists(seen: &Seen) -> bool {
    get(seen) && seen.path.starts_with("/containers/json")
}

fn post(seen: &Seen, what: &str) -> bool {
    seen.method == "POST" && seen.path.split('?').next().is_some_and(|path| path.ends_with(what))
}

const KINDS: &[Kind] = &[
    Kind { name: "list", is: |seen| lists(seen) && seen.path.contains("filters=") },
    // The mounts of all containers of the node, for a component that binds a path of the host.
    Kind { name: "list of the node", is: |seen| lists(seen) && !seen.path.contains("filters=") },
    Kind { name: "events", is: |seen| seen.path.starts_with("/events") },
    Kind {
        name: "inspect",
        is: |seen| get(seen) && seen.path.ends_with("/json") && seen.path.starts_with("/containers/"),
    },
    Kind { name: "create", is: |seen| post(seen, "/create") },
    Kind { name: "copy", is: |seen| seen.method == "PUT" },
    Kind { name: "attach", is: |seen| post(seen, "/attach") },
    Kind { name: "start", is: |seen| post(seen, "/start") && seen.path.starts_with("/containers/") },
    Kind { name: "hook", is: |seen| post(seen, "/exec") },
    Kind { name: "start of a hook", is: |seen| post(seen, "/start") && seen.path.starts_with("/exec/") },
    Kind { name: "end of a hook", is: |seen| get(seen) && seen.path.starts_with("/exec/") },
    Kind { name: "stop", is: |seen| post(seen, "/stop") },
    Kind { name: "remove", is: |seen| seen.method == "DELETE" },
];

struct Fault {
    name: &'static str,
    /// Only for what the engine streams.
    streams: bool,
    /// Every run of the tests has it; the others are for `cargo xtask chaos`.
    short: bool,
    verdict: fn() -> Verdict,
}

const FAULTS: &[Fault] = &[
    Fault { name: "refused", streams: false, short: false, verdict: || Verdict::Close },
    Fault { name: "reset before", streams: false, short: false, verdict: || Verdict::Cut },
    Fault { name: "reset after", streams: false, short: true, verdict: || Verdict::Lose },
    Fault { name: "hangs", streams: false, short: true, verdict: || Verdict::Hang },
    Fault { name: "slow bytes", streams: false, short: false, verdict: || Verdict::Trickle },
    Fault { name: "500", streams: false, short: true, verdict: || Verdict::Refuse(500, "a fault of ours") },
    Fault { name: "404", streams: false, short: false, verdict: || Verdict::Refuse(404, "a fault of ours") },
    Fault { name: "409", streams: false, short: false, verdict: || Verdict::Refuse(409, "a fault of ours") },
    Fault { name: "429", streams: false, short: false, verdict: || Verdict::Refuse(429, "a fault of ours") },
    Fault { name: "garbage", streams: false, short: false, verdict: || Verdict::Garbage },
    Fault { name: "twice", streams: true, short: true, verdict: || Verdict::Twice },
    Fault { name: "swapped", streams: true, short: true, verdict: || Verdict::Swapped },
];

/// What came of one pod.
struct Cell {
    kind: usize,
    fault: usize,
    always: bool,
    outcome: String,
}

/// Run a pod of every feature whose n-th calls of this kind go wrong.
fn play(kind: &'static Kind, fault: &'static Fault, always: bool) -> String {
    let hits = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&hits);
    let folder = tempfile::tempdir().expect("a folder");
    let secret = folder.path().join("secret");
    fs::write(&secret, "hidden").expect("written");
    let app = format!(
        "{}secrets: [key]\nvolumes: ['cache:/cache', '{}:/name:ro']\npost_start: [{{command: 'true'}}]\n\
         pre_stop: [{{command: 'true'}}]\nhealthcheck: {{test: 'true', interval: 1s}}\n",
        script("trap 'exit 0' TERM; while :; do usleep 20000; done"),
        secret.display(),
    );
    let pod = Pod::plan("chaos")
        // Attackers beside it may write above the path that it binds: that is not what is tried here. Their pods
        // in turn must not find a bind below a path of the host.
        .args(&["--logs", "--allow=host-paths"])
        .options(&[
            "-v",
            &format!("{}:/run/secrets/key:ro", secret.display()),
            "-v",
            &format!("{}:/name:ro", secret.display()),
        ])
        .proxied(move |seen| {
            // Before the first change nothing of this pod is there: what goes wrong then is told elsewhere. It is listed
            // and followed from the start.
            let begun = seen.changes_before > 0 || ["list", "events"].contains(&kind.name) || seen.changes();
            let hit = begun
                && (kind.is)(seen)
                && (counted.fetch_add(1, Ordering::SeqCst) == 0 || always || fault.streams);
            if hit { (fault.verdict)() } else { Verdict::Pass }
        })
        .label("pod.scratch", "[cache]")
        .label("pod.copy.app", "/run/secrets/key:/tmp/copied")
        .label("pod.init.components", &format!("- {}", script("true").replace('\n', "\n  ").trim_end()))
        .component("app", &app)
        .component("db", &format!("{}depends_on: {{app: {{condition: service_healthy}}}}\n", idle()))
        .start();
    let words = format!("{} {} {}", kind.name, fault.name, if always { "always" } else { "once" });
    let ended = || {
        let state = pod.task()["State"].clone();
        (state["Status"] == "exited").then(|| state["ExitCode"].as_i64().expect("a status"))
    };
    let healthy = wait(format!("a pod with `{words}` is healthy or ends"), LIMIT, || match ended() {
        Some(status) => Some(Err(status)),
        None => (pod.health() == "healthy").then_some(Ok(())),
    });
    let outcome = match healthy {
        Ok(()) => {
            // init, app, db, the sandbox, the store.
            assert_eq!(pod.members().len(), 5, "`{words}`: {:?}", pod.members());
            docker(&["kill", "-s", "TERM", pod.id()]);
            let status = wait(format!("a pod with `{words}` stops"), LIMIT, ended);
            assert_eq!(status, 0, "`{words}`: a stop that was asked for");
            "runs".to_owned()
        }
        Err(status) => {
            let said = pod.logs().1;
            assert_ne!(status, 0, "`{words}`: {said}");
            assert!(said.contains(&format!("ending the pod with status {status}")), "`{words}`: {said}");
            format!("ends with {status}")
        }
    };
    let said = pod.logs().1;
    let left: Vec<String> = pod.members();
    // What cannot be removed in time is named: a call that hangs once outlasts the time for it.
    let told = said.contains("left behind: container");
    assert!(left.is_empty() || told, "`{words}`: {left:?} are left\n{said}");
    match (hits.load(Ordering::SeqCst), left.len()) {
        (0, _) => "not asked".into(),
        (_, 0) => outcome,
        (..) => format!("{outcome}, says what is left"),
    }
}

fn table(cells: &[Cell], always: bool) -> String {
    let mut text = format!("| {} |", if always { "again and again" } else { "once" });
    FAULTS.iter().for_each(|fault| _ = write!(text, " {} |", fault.name));
    text += "\n|---|";
    FAULTS.iter().for_each(|_| text += "---|");
    for (number, kind) in KINDS.iter().enumerate() {
        _ = write!(text, "\n| {} |", kind.name);
        for place in 0..FAULTS.len() {
            let cell =
                cells.iter().find(|cell| (cell.kind, cell.fault, cell.always) == (number, place, always));
            _ = write!(text, " {} |", cell.map_or("", |cell| &cell.outcome));
        }
    }
    text + "\n"
}

#[test]
fn a_pod_bears_every_fault_of_its_connection_to_the_engine_or_ends_in_words() {
    let lasting = std::env::var("TANDEM_CHAOS").is_ok_and(|word| word == "always");
    let mut jobs = Vec::new();
    for always in [false, true].into_iter().filter(|always| lasting || !always) {
        for (number, kind) in KINDS.iter().enumerate() {
            for (place, fault) in FAULTS.iter().enumerate() {
                if (lasting || fault.short) && (!fault.streams || kind.name == "events" && !always) {
                    jobs.push((number, place, always));
                }
            }
        }
    }
    // Those first that take longest.
    jobs.sort_by_key(|(_, fault, _)| FAULTS[*fault].name != "hangs");
    let cells = each(jobs.len(), SIDE_BY_SIDE, |number| {
        let (kind, fault, always) = jobs[number];
        Cell { kind, fault, always, outcome: play(&KINDS[kind], &FAULTS[fault], always) }
    });
    let mut text = table(&cells, false);
    if lasting {
        text += &format!("\n{}", table(&cells, true));
    }
    println!("{text}");
    let asked = |kind: usize| cells.iter().any(|cell| cell.kind == kind && cell.outcome != "not asked");
    let unasked: Vec<&str> =
        (0..KINDS.len()).filter(|kind| !asked(*kind)).map(|kind| KINDS[kind].name).collect();
    assert!(unasked.is_empty(), "no pod made a call of these kinds: {unasked:?}");
    assert_eq!(labelled("io.tandem.test=chaos"), Vec::<String>::new());
}
