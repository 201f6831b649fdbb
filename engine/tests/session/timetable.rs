//! Limits by the time of the week, and those that a session begins with.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use migration_fixtures::large_file;
use serde_json::{Value, json};

use crate::session::{Place, Session, binary};

/// A zone where the minute ends in about `left` seconds, and that minute with the next.
fn zone(left: u64) -> (String, String, String) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let east = (120 - left - now % 60) % 60;
    let minute = |seconds: u64| format!("{:02}:{:02}", seconds / 3600 % 24, seconds / 60 % 60);
    let local = now + east;
    (format!("TST-00:00:{east:02}"), minute(local), minute(local + 60))
}

fn start(place: &Place, zone: &str, flags: &[&str]) -> Session {
    Session::start_with(place, flags, |command| command.env("TZ", zone))
}

#[test]
fn an_entry_that_begins_is_obeyed_at_once_by_running_jobs_and_the_engine() {
    let place = Place::new();
    large_file(&place.path("big"), 8 << 20, 9).unwrap();
    let (zone, now, next) = zone(4);
    let mut session = start(&place, &zone, &["--progress-ms", "60000"]);
    let begun = Instant::now();
    let slow_now = json!([{"at": now, "bytes_per_s": "64KiB"}, {"at": next, "bytes_per_s": null}]);
    session.send(&json!({"op": "copy", "id": "c", "src": "big", "dst": "copy",
        "limits": {"bytes_per_s": "1KiB", "timetable": slow_now}}));
    let engine = json!([{"at": now, "ops_per_s": 7}, {"at": next, "bytes_per_s": "900MB"}]);
    let set = session.call(&json!({"op": "limits", "id": "l1", "ops_per_s": 3000,
        "timetable": engine}));
    assert_eq!((&set["data"]["ops_per_s"], &set["data"]["bytes_per_s"]), (&json!(7), &Value::Null));
    let job = session.call(&json!({"op": "limits", "id": "l2", "target": "c"}));
    assert_eq!(job["data"]["bytes_per_s"], 64 << 10);
    let done = session.result("c");
    assert_eq!(done["status"], "ok", "{done}");
    let took = begun.elapsed();
    assert!(took > Duration::from_millis(2000) && took < Duration::from_secs(30), "{took:?}");
    let after = session.call(&json!({"op": "limits", "id": "l3"}));
    assert_eq!(
        (&after["data"]["ops_per_s"], &after["data"]["bytes_per_s"]),
        (&json!(3000), &json!(900_000_000)),
        "what the entry does not name is as it was set"
    );
    let lifted = session.call(&json!({"op": "limits", "id": "l4", "timetable": null}));
    assert_eq!(lifted["data"]["bytes_per_s"], Value::Null);
}

#[test]
fn a_timetable_that_means_nothing_is_refused_by_name() {
    let place = Place::new();
    std::fs::write(place.path("a"), "x").unwrap();
    let mut session = Session::start(&place, &[]);
    let many: Vec<Value> = (0..257).map(|_| json!({"at": "00:00"})).collect();
    for (table, field) in [
        (json!([{"at": "25:00"}]), "timetable.0.at"),
        (json!([{"at": "07:00"}, {"at": "08:00", "days": []}]), "timetable.1.days"),
        (json!([{"at": "07:00", "days": ["monday"]}]), "timetable.0.days.0"),
        (json!([{"at": "07:00", "bytes_per_s": 0}]), "timetable.0.bytes_per_s"),
        (json!([{"at": "07:00", "ops_per_s": 0}]), "timetable.0.ops_per_s"),
        (json!(many), "timetable"),
    ] {
        let copy = json!({"op": "copy", "id": "c", "src": "a", "dst": "b",
            "limits": {"timetable": table}});
        let refused = session.call(&copy);
        let at = &refused["error"]["at"]["field"];
        assert_eq!(
            (&refused["error"]["code"], at),
            (&json!("INVALID_FIELD"), &json!(format!("limits.{field}"))),
            "{refused}"
        );
        let refused = session.call(&json!({"op": "limits", "id": "l", "timetable": table}));
        assert_eq!(refused["error"]["at"]["field"], field, "{refused}");
    }
    assert!(!place.path("b").exists());
}

/// Flags and variables hold for the whole engine, with a verb or without one.
#[test]
fn a_session_begins_with_the_rates_it_was_started_with() {
    let place = Place::new();
    let ask = json!({"op": "limits", "id": "l"});
    let mut flags = Session::start(&place, &["--bytes-per-s", "5MB", "--ops-per-s", "11"]);
    let rates = |answer: &Value| {
        (answer["data"]["bytes_per_s"].clone(), answer["data"]["ops_per_s"].clone())
    };
    assert_eq!(rates(&flags.call(&ask)), (json!(5_000_000), json!(11)));
    let mut variables = Session::start_with(&place, &["--ops-per-s", "12"], |command| {
        command.env("MIGRATION_ENGINE_BYTES_PER_S", "6MB").env("MIGRATION_ENGINE_OPS_PER_S", "1")
    });
    assert_eq!(rates(&variables.call(&ask)), (json!(6_000_000), json!(12)));
    let commands = place.path("commands");
    std::fs::write(&commands, format!("{ask}\n")).unwrap();
    for verb in [None, Some("run")] {
        let mut command = binary();
        command.env("MIGRATION_ENGINE_BYTES_PER_S", "7MB").arg("--state-dir").arg(place.state());
        match verb {
            Some(verb) => drop(command.args(["--json", verb]).arg(&commands)),
            None => drop(command.stdin(std::fs::File::open(&commands).unwrap())),
        }
        let output = String::from_utf8(command.output().unwrap().stdout).unwrap();
        let result: Value = serde_json::from_str(output.lines().last().unwrap()).unwrap();
        assert_eq!(rates(&result), (json!(7_000_000), Value::Null), "{verb:?}: {output}");
    }
    for (name, value) in [("BYTES_PER_S", "0"), ("OPS_PER_S", "0"), ("BYTES_PER_S", "fast")] {
        let mut command = binary();
        command.env(format!("MIGRATION_ENGINE_{name}"), value);
        let output = command.stdin(std::process::Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}={value}: {output:?}");
    }
}
