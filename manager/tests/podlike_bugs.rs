//! Podlike's bugs, each with what is right here and the tests that prove it. The numbers are those of the list that
//! Tandem was begun with; a bug that is named nowhere else needs no new test, but its test may not go.
#![allow(clippy::disallowed_methods, reason = "reads the tests")]

use std::fs;
use std::path::Path;

/// Number, what is right now, and where each test is, as `file: name`.
const BUGS: [(u32, &str, &[&str]); 16] = [
    (
        3,
        "a pod exits with the status of the component that ends",
        &[
            "tests/pod/ending.rs: the_pod_ends_with_the_status_of_the_component_that_ends",
            "tests/pod/ending.rs: a_component_killed_by_a_signal_ends_the_pod_with_128_and_the_signal",
        ],
    ),
    (
        4,
        "an init component's 255 stays 255",
        &["tests/pod/ending.rs: an_init_component_that_fails_ends_the_pod_with_its_status"],
    ),
    (
        5,
        "a health check that is off holds no pod up",
        &["tests/pod/keys.rs: podlike_bug_5_a_health_check_that_is_off_holds_no_pod_up"],
    ),
    (
        6,
        "rates of block devices are not swapped",
        &["tests/pod/keys.rs: podlike_bug_6_rates_of_block_devices_are_not_swapped"],
    ),
    (
        7,
        "the manager finds its container without the cgroup path, and places components where the driver lets it",
        &[
            "tests/pod/podlike.rs: podlike_bug_7_a_pod_finds_itself_in_a_cgroup_namespace_of_its_own",
            "src/startup/own_container.rs: the_id_is_found_wherever_the_engine_keeps_its_containers",
            "../crates/pod/src/cgroups.rs: the_sum_is_held_where_something_can_hold_it_and_else_each_with_one_warning",
        ],
    ),
    (
        8,
        "IPC is shared by default where the task's own cannot be",
        &[
            "tests/pod/placement.rs: by_default_a_sandbox_holds_pids_and_ipc",
            "tests/pod/placement.rs: ipc_of_a_task_container_that_is_private_is_refused",
        ],
    ),
    (
        9,
        "events are read from what every engine sends",
        &[
            "../crates/engine/src/convert.rs: events_are_read_from_action_and_actor",
            "tests/engine_docker.rs: health_is_told_by_events_and_by_inspection",
        ],
    ),
    (
        10,
        "a slow start is not killed, and a pod is not healthy before its components are",
        &[
            "tests/pod/podlike.rs: podlike_bug_10_a_pod_that_still_pulls_is_not_healthy",
            "tests/pod/health.rs: the_image_checks_health_with_time_for_a_slow_start",
            "tests/pod/health.rs: a_pod_is_not_healthy_before_its_init_components_are_done",
        ],
    ),
    // 12, maps that several threads write to, cannot be: one task owns what is observed, and safe Rust has no data race.
    (
        13,
        "output passes byte for byte",
        &[
            "tests/pod/logs.rs: empty_lines_and_lines_of_any_small_length_pass",
            "tests/pod/logs.rs: every_byte_passes_unchanged",
            "tests/pod/logs.rs: a_terminals_output_is_passed_as_it_is",
            "tests/pod/logs.rs: a_line_of_two_megabytes_stays_whole",
        ],
    ),
    (
        14,
        "a pull that fails in the middle ends the pod with the reason, and what the engine warns of is logged",
        &[
            "tests/pod/images.rs: a_pull_that_fails_in_the_middle_ends_the_pod_with_what_happened",
            "../crates/engine/src/convert.rs: a_pull_tells_what_is_worth_a_line",
            "src/reconcile/tests/scenarios.rs: podlike_bug_14_what_the_engine_warns_of_is_logged",
        ],
    ),
    (
        15,
        "the end of a short life is seen",
        &[
            "tests/pod/podlike.rs: podlike_bug_15_the_end_of_a_short_life_is_seen_and_can_be_looked_at_later",
            "tests/pod/logs.rs: not_a_line_of_a_short_life_is_lost",
        ],
    ),
    (
        16,
        "an init component is stopped when the pod is",
        &[
            "tests/pod/ending.rs: a_stop_is_answered_while_an_init_component_runs",
            "src/reconcile/tests/scenarios.rs: a_stop_during_an_init_component_ends_it_and_nothing_comes_after_it",
        ],
    ),
    (
        17,
        "a killed task container leaves no process behind, and starts again",
        &[
            "tests/pod/ending.rs: all_processes_end_when_the_task_container_is_killed",
            "tests/pod/recovery.rs: components_of_an_earlier_run_are_replaced_and_never_adopted",
        ],
    ),
    (
        18,
        "a stop runs in reverse order, within one time, each component with its own grace",
        &[
            "tests/pod/ending.rs: a_stop_runs_in_reverse_order_of_dependencies",
            "tests/pod/ending.rs: a_components_own_grace_period_is_kept_to",
            "tests/pod/ending.rs: a_component_that_ignores_the_stop_is_killed_within_the_time_for_stopping",
        ],
    ),
    (
        27,
        "a broken event stream is taken up again at a growing pace, with a full listing",
        &[
            "tests/pod/podlike.rs: podlike_bug_27_an_engine_that_is_away_is_asked_at_a_growing_pace",
            "tests/pod/recovery.rs: an_event_stream_that_breaks_is_followed_by_a_full_listing",
        ],
    ),
    (
        28,
        "no component reaches the engine",
        &[
            "tests/pod/podlike.rs: podlike_bug_28_no_component_sees_the_socket_with_podlikes_own_flags",
            "tests/pod/sharing.rs: no_component_can_see_the_socket",
            "tests/pod/sharing.rs: all_volumes_of_the_task_container_are_shared_when_asked_except_the_socket",
        ],
    ),
];

#[test]
fn every_bug_has_a_test_that_is_there() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (number, right, tests) in BUGS {
        assert!(!tests.is_empty(), "{number}: {right}");
        for test in tests {
            let (file, name) = test.split_once(": ").expect("file: name");
            let text =
                fs::read_to_string(folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
            let (before, _) = text
                .split_once(&format!("fn {name}("))
                .unwrap_or_else(|| panic!("bug {number}, {right}: `{name}` is not in {file}"));
            let before = before.trim_end().trim_end_matches("async").trim_end();
            let attributes = before.lines().rev().take_while(|line| line.trim().starts_with("#["));
            let tested = attributes.into_iter().any(|line| line.contains("test"));
            assert!(tested, "bug {number}, {right}: `{name}` in {file} is not a test");
        }
    }
}
