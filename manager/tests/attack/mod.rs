//! No component can reach the engine (DESIGN.md, rules 1 and 2): attackers in every kind of pod, and what they reached
//! as a table, `attack.md` beside this file. `definition` attacks by the labels themselves.

mod definition;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::thread;

use caps::{CapSet, Capability};

use crate::lab::docker::{Started, attempt, docker, socket};
use crate::lab::pod::{Agent, Plan, Pod, Volumes};
use crate::lab::{LONG, each, program, tools_image, unique, wait};

/// How long an attacker lies in wait for new processes, seconds.
const SPIN: &str = "3";

/// Attackers: name, Compose keys, words for the program, and whether `--pause task` with PIDs refuses them.
fn attackers() -> [(&'static str, String, &'static [&'static str], bool); 7] {
    [
        ("root", String::new(), &[], false),
        ("ptrace", "cap_add: [SYS_PTRACE]\n".into(), &[], true),
        ("more", format!("cap_add: [{}]\n", more_capabilities().join(", ")), &[], true),
        ("dropped", "cap_drop: [ALL]\n".into(), &[], false),
        ("same-user", "user: '65529'\n".into(), &[], false),
        ("user", "user: '1000'\n".into(), &[], false),
        ("setuid", String::new(), &["--setuid", "65529"], false),
    ]
}

/// All that can be added on this host, less what the policy refuses.
fn more_capabilities() -> Vec<String> {
    let here = caps::read(None, CapSet::Bounding).expect("the kernel tells");
    // Docker Engine 20.10 does not know the last two.
    let refused =
        ["BPF", "DAC_READ_SEARCH", "SYS_ADMIN", "SYS_MODULE", "SYS_RAWIO", "CHECKPOINT_RESTORE", "PERFMON"];
    let name = |cap: Capability| cap.to_string().trim_start_matches("CAP_").to_owned();
    let mut names: Vec<String> = here.into_iter().map(name).collect();
    names.retain(|name| !refused.contains(&name.as_str()));
    names.sort();
    names
}

/// Where namespaces live, and the manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Placement {
    Sandbox,
    Task,
    /// A pause container of somebody else's; the manager is in a container of its own.
    Sibling,
    /// The same, and an agent runs it.
    Agent,
}

impl Placement {
    const ALL: [Placement; 4] = [Self::Sandbox, Self::Task, Self::Sibling, Self::Agent];

    /// The manager is in another container.
    fn outside(self) -> bool {
        matches!(self, Placement::Sibling | Placement::Agent)
    }

    fn word(self) -> &'static str {
        match self {
            Placement::Sandbox => "sandbox",
            Placement::Task => "task",
            Placement::Sibling => "sibling",
            Placement::Agent => "agent",
        }
    }
}

/// One kind of pod.
#[derive(Clone, Copy)]
struct Cell {
    placement: Placement,
    pids: bool,
    ipc: bool,
    volumes: bool,
}

impl Cell {
    fn all() -> impl Iterator<Item = Cell> {
        let kinds = (0..8_u8).map(|number| {
            let bit = |bit: u8| number & (1 << bit) != 0;
            (!bit(2), !bit(1), bit(0))
        });
        Placement::ALL.into_iter().flat_map(move |placement| {
            kinds.clone().map(move |(pids, ipc, volumes)| Cell { placement, pids, ipc, volumes })
        })
    }

    fn row(self) -> String {
        let word = |on: bool| if on { "yes" } else { "no" };
        let placement = self.placement.word();
        format!("| {placement} | {} | {} | {} |", word(self.pids), word(self.ipc), word(self.volumes))
    }

    /// Components see the processes of the task container.
    fn exposed(self) -> bool {
        self.placement == Placement::Task && self.pids
    }

    fn args(self) -> Vec<String> {
        let mut args = vec![format!("--pids={}", self.pids), format!("--ipc={}", self.ipc)];
        args.push(format!("--volumes={}", self.volumes));
        // What the operator gives to components is under attack as well.
        args.push("--allow=capabilities".into());
        if !self.placement.outside() {
            args.push(format!("--pause={}", self.placement.word()));
        }
        args
    }

    /// The agent, where one is to run the pod.
    fn agent(self) -> Option<Agent> {
        let args = self.args();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        (self.placement == Placement::Agent).then(|| Agent::start(&[], &args))
    }

    fn plan(self, volume: &str, agent: Option<&Agent>) -> Plan {
        let attacker = program("attacker").display().to_string();
        let mut options = vec!["--health-interval=1s".to_owned(), "-v".into(), format!("{volume}:/data")];
        // A component binds what its task container has mounted.
        options.extend(["-v".to_owned(), format!("{attacker}:/attacker:ro")]);
        if self.exposed() {
            options.extend(["--cap-drop=DAC_OVERRIDE", "--cap-drop=DAC_READ_SEARCH"].map(str::to_owned));
        }
        if self.placement != Placement::Sandbox && self.ipc {
            options.push("--ipc=shareable".into());
        }
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let plan = Pod::plan("attack").options(&options);
        if let Some(agent) = agent {
            return plan.agent(agent.name());
        }
        let args = self.args();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let plan = plan.args(&args);
        if self.placement.outside() { plan.outside(&["--health-interval=1s"]) } else { plan }
    }
}

fn keys(more: &str) -> String {
    let attacker = program("attacker").display().to_string();
    format!(
        "image: {}\ncommand: [/attacker, wait]\nstop_signal: SIGKILL\nvolumes: ['{attacker}:/attacker:ro']\n{more}",
        tools_image()
    )
}

/// What an attack printed that matters: what succeeded; whether something did against a bare `pause`, which holds nothing; whether it may signal the manager or the supervising `pause`.
#[derive(Debug, Default)]
struct Reached {
    successes: BTreeSet<String>,
    bare: bool,
    signals: bool,
    tried: usize,
}

impl Reached {
    fn words(&self, cell: Cell) -> String {
        match self {
            Reached { successes, .. } if !successes.is_empty() => format!("REACHED {successes:?}"),
            Reached { bare: true, .. } if cell.placement == Placement::Sandbox => "the sandbox".into(),
            Reached { bare: true, .. } => "the pause".into(),
            Reached { signals: true, .. } => "signals".into(),
            _ => "nothing".into(),
        }
    }

    #[track_caller]
    fn read(&mut self, container: &str, words: &[&str]) {
        let said = attempt(&[&["exec", container, "/attacker"][..], words].concat());
        assert_eq!(said.status, 0, "the attacker itself failed: {}{}", said.text(), said.error());
        for line in said.text().lines() {
            self.tried += 1;
            if line.starts_with("SUCCESS signal ") {
                self.signals = true;
            } else if let Some(what) = line.strip_prefix("SUCCESS ") {
                self.successes.insert(what.to_owned());
            } else if line.starts_with("bare ") && !line.starts_with("bare signal ") {
                self.bare = true;
            }
        }
    }
}

/// Lets every attacker of a pod loose, at rest and while processes come and go; what each reached.
fn attack(pod: &Pod, cell: Cell, names: &[(&'static str, &'static [&'static str])]) -> Vec<Reached> {
    let bare: &[&str] = if cell.exposed() { &[] } else { &["--bare"] };
    let all = |words: &[&str], meanwhile: &(dyn Fn() + Sync)| -> Vec<Reached> {
        thread::scope(|scope| {
            let attacks: Vec<_> = names
                .iter()
                .map(|(name, more)| {
                    // Ports are the network's, which is one for all.
                    let ports: &[&str] = if *name == "root" { &["--ports"] } else { &[] };
                    let words = [words, more, bare, ports].concat();
                    let container = pod.container(name);
                    scope.spawn(move || {
                        let mut reached = Reached::default();
                        reached.read(&container, &words);
                        reached
                    })
                })
                .collect();
            meanwhile();
            attacks.into_iter().map(|attack| attack.join().expect("an attacker's thread")).collect()
        })
    };
    let mut total = all(&["scan"], &|| {});
    let restarts = all(&["spin", SPIN], &|| {
        for _ in 0..2 {
            pod.crash_manager("KILL");
        }
    });
    let probes = all(&["spin", SPIN], &|| {
        for _ in 0..8 {
            attempt(&["exec", pod.id(), "/pause", "health"]);
        }
    });
    for more in [restarts, probes] {
        for (total, more) in total.iter_mut().zip(more) {
            total.successes.extend(more.successes);
            total.bare |= more.bare;
            total.signals |= more.signals;
            total.tried += more.tried;
        }
    }
    total
}

/// The names of attackers and what each came to in one kind of pod.
fn outcome(cell: Cell) -> Vec<(&'static str, String)> {
    let volumes = Volumes::one("attack");
    let agent = cell.agent();
    let mut plan = cell.plan(&volumes.name(), agent.as_ref());
    let (mut names, mut outcomes) = (Vec::new(), Vec::new());
    for (name, more, words, refused) in attackers() {
        if refused && cell.exposed() {
            let (said, _pod) = cell.plan(&volumes.name(), None).component(name, &keys(&more)).run();
            assert_eq!(said.status, 64, "{}", said.error());
            assert!(said.error().contains("could look into them by its `cap_add"), "{}", said.error());
            outcomes.push((name, "refused".to_owned()));
        } else {
            plan = plan.component(name, &keys(&more));
            names.push((name, words));
        }
    }
    let pod = plan.start();
    pod.wait_healthy();
    for ((name, _), reached) in names.iter().zip(attack(&pod, cell, &names)) {
        assert!(reached.tried > 0, "`{name}` tried nothing");
        outcomes.push((name, reached.words(cell)));
    }
    pod.stop_clean();
    outcomes
}

#[test]
fn no_attacker_reaches_anything_in_any_kind_of_pod() {
    let names = attackers().map(|(name, ..)| name);
    let mut table = format!("| placement | PIDs | IPC | volumes | {} |\n", names.join(" | "));
    writeln!(table, "|{}", "---|".repeat(4 + names.len())).expect("text grows");
    // Two at a time: a pod waits more than it works.
    let cells: Vec<Cell> = Cell::all().collect();
    let rows = each(cells.len(), 2, |number| outcome(cells[number]));
    for (cell, outcomes) in cells.iter().zip(rows) {
        let of = |name: &&str| outcomes.iter().find(|(one, _)| one == name).map(|(_, words)| words.as_str());
        let words: Vec<&str> = names.iter().filter_map(of).collect();
        writeln!(table, "{} {} |", cell.row(), words.join(" | ")).expect("text grows");
    }
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../attack.md");
    std::fs::write(&path, &table).expect("written");
    assert!(!table.contains("REACHED"), "\n{table}");
    let kept = include_str!("attack.md");
    assert!(kept.ends_with(&table), "the table in `attack.md` is not what was seen:\n{table}");
}

#[test]
fn every_attack_succeeds_against_a_holder_that_does_not_protect_itself() {
    let attacker = program("attacker").display().to_string();
    let naive = unique("naive");
    let label = format!("io.tandem.test={naive}");
    let mounts = [format!("{attacker}:/naive:ro"), format!("{}:/var/run/docker.sock", socket().display())];
    let run = ["run", "-d", "--name", &naive, "--label", &label, "--ipc=shareable"];
    let _holder = Started(&naive);
    docker(
        &[
            &run[..],
            &["-v", &mounts[0], "-v", &mounts[1], &tools_image(), "/naive", "hold", "/var/run/docker.sock"],
        ]
        .concat(),
    );
    wait("the naive holder holds", LONG, || {
        docker(&["logs", &naive]).text().contains("holding").then_some(())
    });
    let join = format!("container:{naive}");
    let attack = |words: &[&str]| {
        let bind = format!("{attacker}:/attacker:ro");
        let namespaces = [&*format!("--pid={join}"), &format!("--network={join}"), &format!("--ipc={join}")]
            .map(str::to_owned);
        let mut line: Vec<&str> = vec![
            "run",
            "--rm",
            "--label",
            &label,
            "--cap-add=SYS_PTRACE",
            "--volumes-from",
            &naive,
            "-v",
            &bind,
        ];
        line.extend(namespaces.iter().map(String::as_str));
        let tools = tools_image();
        line.extend([tools.as_str(), "/attacker"]);
        line.extend(words);
        let text = docker(&line).text();
        let kinds = text.lines().filter_map(|line| line.strip_prefix("SUCCESS ")?.split(' ').next());
        (kinds.map(str::to_owned).collect::<BTreeSet<_>>(), text.clone())
    };
    let (seen, text) = attack(&["scan", "--ports"]);
    for kind in [
        "root",
        "cwd",
        "engine",
        "fd",
        "environ",
        "mem",
        "pidfd_getfd",
        "maps",
        "map_files",
        "process_vm_readv",
        "process_vm_writev",
        "ptrace",
        "signal",
        "gdb",
        "strace",
        "curl",
        "socket_file",
        "marks",
        "abstract",
        "scm_rights",
        "engine_port",
        "shared_memory",
        "mqueue",
        "sysv_msg",
        "sysv_sem",
        "sysv_shm",
    ] {
        assert!(seen.contains(kind), "the attack `{kind}` sees nothing where there is something:\n{text}");
    }
    // Processes that come and go are met too.
    let (seen, text) = thread::scope(|scope| {
        let spun = scope.spawn(|| attack(&["spin", SPIN]));
        while !spun.is_finished() {
            attempt(&["exec", &naive, "/naive", "nap"]);
        }
        spun.join().expect("the attacker's thread")
    });
    assert!(["root", "fd", "mem", "pidfd_getfd"].iter().all(|kind| seen.contains(*kind)), "{text}");
    let pids: BTreeSet<&str> = text.lines().filter_map(|line| line.strip_prefix("SUCCESS fd ")).collect();
    assert!(pids.len() > 1, "no process that came later was met:\n{text}");
}
