//! A host that stops reading, and one that dies.

use std::io::Read as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use migration_fixtures::{Aspects, Sizes, SmallFiles, compare};
use serde_json::json;

use crate::session::{Place, Session, binary, check_order};

/// A reader that stands still: data keeps moving, memory stays flat, and afterwards the order is
/// exact. The wait is for the data to arrive, not for a time.
#[test]
fn a_reader_that_stands_still_stalls_no_data_and_costs_no_memory() {
    let place = Place::new();
    SmallFiles { count: 3000, sizes: Sizes::Fixed(512), fan_out: 500, seed: 4 }
        .build(&place.path("src"))
        .unwrap();
    let mut child = binary()
        .args(["serve", "--progress-ms", "50", "--state-dir"])
        .arg(place.state())
        .current_dir(place.dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let events = json!(["progress", "state", "warning", "item", "log"]);
    let mut commands = format!("{}\n", json!({"op": "hello", "events": events}));
    for n in 0..6 {
        let dst = format!("dst{n}");
        commands += &format!("{}\n", json!({"op": "copy", "id": dst, "src": "src", "dst": dst}));
    }
    std::io::Write::write_all(&mut input, commands.as_bytes()).unwrap();
    let deadline = Instant::now() + crate::session::PATIENCE;
    let done = |n: usize| {
        compare(&place.path("src"), &place.path(&format!("dst{n}")), &Aspects::content())
            .is_ok_and(|differences| differences.is_empty())
    };
    while !(0..6).all(done) {
        assert!(Instant::now() < deadline, "data stands still with the reader");
        std::thread::sleep(Duration::from_millis(50));
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let peak = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap();
    let peak_kib: u64 = peak.trim().split(' ').next().unwrap().parse().unwrap();
    assert!(peak_kib < 96 << 10, "{peak_kib} KiB");
    drop(input);
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(child.wait().unwrap().success());
    let lines: Vec<_> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    check_order(&lines);
    let results = lines.iter().filter(|l| l["type"] == "result" && l["op"] == "copy");
    assert_eq!(
        results.filter(|l| l["status"] == "ok" && l["metrics"]["items_ok"] == 3000).count(),
        6
    );
    let told: u64 = lines
        .iter()
        .filter(|l| l["type"] == "item")
        .map(|l| 1 + l["dropped_before"].as_u64().unwrap())
        .sum();
    assert!(told <= 18_000, "{told}");
}

/// The reader's end of the pipe closes: the engine stops by itself, with its own exit code.
#[test]
fn a_closed_output_ends_the_engine() {
    let place = Place::new();
    migration_fixtures::large_file(&place.path("big"), 64 << 20, 1).unwrap();
    let mut child = binary()
        .args(["serve", "--progress-ms", "50", "--state-dir"])
        .arg(place.state())
        .current_dir(place.dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let copy = json!({"op": "copy", "src": "big", "dst": "copy", "limits": {"bytes_per_s": "2MB"}});
    std::io::Write::write_all(&mut input, format!("{copy}\n").as_bytes()).unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(74));
    assert_eq!(place.leftovers().len(), 0);
}

/// The end of the watched parent ends the engine, though its input stays open.
#[test]
fn the_end_of_the_parent_ends_the_engine() {
    let place = Place::new();
    migration_fixtures::large_file(&place.path("big"), 64 << 20, 1).unwrap();
    let mut parent = std::process::Command::new("sleep").arg("600").spawn().unwrap();
    let pid = parent.id().to_string();
    let mut session = Session::start(&place, &["--parent-pid", &pid]);
    session.send(&json!({"op": "copy", "id": "c", "src": "big", "dst": "copy", "limits": {"bytes_per_s": "2MB"}}));
    session.until(|line| line["type"] == "state");
    parent.kill().unwrap();
    parent.wait().unwrap();
    assert_eq!(session.child.wait().unwrap().code(), Some(74));
    assert_eq!(place.leftovers().len(), 0);
}

#[test]
fn end_of_input_finishes_or_cancels() {
    for (rule, status, code) in [("finish", "ok", 0), ("cancel", "cancelled", 3)] {
        let place = Place::new();
        migration_fixtures::large_file(&place.path("big"), 4 << 20, 1).unwrap();
        let mut session = Session::start(&place, &["--on-eof", rule]);
        session.send(&json!({"op": "copy", "id": "c", "src": "big", "dst": "copy", "limits": {"bytes_per_s": "8MB"}}));
        session.until(|line| line["type"] == "state");
        let (exit, seen) = session.end();
        let result = seen.iter().find(|line| line["type"] == "result").unwrap();
        assert_eq!((result["status"].as_str(), exit), (Some(status), code), "{result}");
    }
}

#[test]
fn a_signal_cancels_and_names_itself_in_the_exit_code() {
    let place = Place::new();
    migration_fixtures::large_file(&place.path("big"), 64 << 20, 1).unwrap();
    let mut session = Session::start(&place, &[]);
    session.send(&json!({"op": "copy", "id": "c", "src": "big", "dst": "copy", "limits": {"bytes_per_s": "2MB"}}));
    session.until(|line| line["type"] == "state");
    let pid = rustix::process::Pid::from_raw(session.child.id() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(session.result("c")["status"], "cancelled");
    assert_eq!(session.child.wait().unwrap().code(), Some(143));
    assert_eq!(place.leftovers().len(), 0);
}

/// More commands than may be outstanding keep the input unread; its end is noticed all the same.
#[test]
fn the_end_of_input_is_noticed_behind_commands_that_are_not_read() {
    let place = Place::new();
    let mut session = Session::start(&place, &["--on-eof", "cancel"]);
    session.send(&json!({"op": "hello", "id": "h", "events": []}));
    for n in 0..1100 {
        session.send(&json!({"op": "monitor", "id": format!("m{n}"), "interval_ms": 60_000}));
    }
    session.end();
}
