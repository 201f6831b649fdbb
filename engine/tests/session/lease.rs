//! `lock`: one command at a time commits to a destination directory.

use std::time::{Duration, Instant};

use migration_fixtures::{Sizes, SmallFiles};
use serde_json::{Value, json};

use crate::session::{Place, Session};

fn slow_copy(place: &Place) -> Value {
    SmallFiles { count: 400, sizes: Sizes::Fixed(100), fan_out: 100, seed: 3 }
        .build(&place.path("src"))
        .unwrap();
    json!({"op": "copy", "id": "c", "src": "src", "dst": "dst", "on_exists": "update",
        "durability": "crash", "lock": "fail", "limits": {"ops_per_s": 100}})
}

fn fast(copy: &Value) -> Value {
    let mut copy = copy.clone();
    copy.as_object_mut().unwrap().remove("limits");
    copy
}

fn hold(place: &Place, copy: &Value) -> Session {
    let mut session = Session::start(place, &[]);
    session.send(copy);
    let start = Instant::now();
    // The name comes before the record in it: it is taken once that is there.
    while std::fs::metadata(place.path("dst/.mig-lease")).map_or(0, |record| record.len()) == 0 {
        assert!(start.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(5));
    }
    session
}

#[test]
fn a_leased_destination_is_locked_and_waited_for() {
    let place = Place::new();
    let copy = slow_copy(&place);
    let mut holder = hold(&place, &copy);
    let mut other = Session::start(&place, &[]);
    let refused = other.call(&fast(&copy));
    assert_eq!(
        (&refused["error"]["code"], &refused["error"]["retryable"]),
        (&json!("LOCKED"), &json!(true)),
        "{refused}"
    );
    let mut waits = fast(&copy);
    waits["lock"] = "wait".into();
    waits["lock_timeout"] = "300ms".into();
    assert_eq!(other.call(&waits)["error"]["code"], "LOCKED");
    let mut unlocked = fast(&copy);
    unlocked.as_object_mut().unwrap().remove("lock");
    unlocked["dst"] = "elsewhere".into();
    assert_eq!(other.call(&unlocked)["status"], "ok");
    waits["lock_timeout"] = "2m".into();
    other.send(&waits);
    assert_eq!(holder.result("c")["status"], "ok");
    let done = other.result("c");
    assert_eq!((&done["status"], &done["metrics"]["items_skipped"]), (&json!("ok"), &json!(400)));
    assert!(!place.path("dst/.mig-lease").exists());
    let mtime = |path| place.path(path).metadata().unwrap().modified().unwrap();
    assert_eq!(mtime("dst"), mtime("src"), "the record leaves a trace");
}

/// The next command on the same machine knows a killed holder to be dead; so does a cleanup.
#[test]
fn the_lease_of_a_killed_engine_is_taken_over_or_cleaned() {
    let place = Place::new();
    let copy = slow_copy(&place);
    for cleans in [false, true] {
        let mut holder = hold(&place, &copy);
        let mut session = Session::start(&place, &[]);
        let live = session.call(&json!({"op": "cleanup", "id": "u", "locations": "dst"}));
        assert_eq!(live["data"]["removed"], 0, "{live}");
        holder.child.kill().unwrap();
        holder.child.wait().unwrap();
        assert!(place.path("dst/.mig-lease").exists());
        if cleans {
            let cleaned = session.call(&json!({"op": "cleanup", "id": "u"}));
            assert_eq!(cleaned["status"], "ok", "{cleaned}");
            assert!(!place.path("dst/.mig-lease").exists());
        } else {
            assert_eq!(session.call(&fast(&copy))["status"], "ok");
            std::fs::remove_dir_all(place.path("dst")).unwrap();
        }
    }
}

/// Somebody else's record appears while the copy runs: it publishes nothing more and says so.
#[test]
fn a_lost_lease_ends_the_copy() {
    let place = Place::new();
    let copy = slow_copy(&place);
    let mut holder = hold(&place, &copy);
    std::fs::remove_file(place.path("dst/.mig-lease")).unwrap();
    let lost = holder.result("c");
    assert_eq!(
        (&lost["status"], &lost["error"]["code"], &lost["error"]["retryable"]),
        (&json!("failed"), &json!("LEASE_LOST"), &json!(true)),
        "{lost}"
    );
    assert_eq!(place.leftovers().len(), 0);
    assert_eq!(holder.call(&fast(&copy))["status"], "ok");
}

#[test]
fn a_lease_is_no_item_and_one_item_needs_no_lease() {
    let place = Place::new();
    std::fs::create_dir(place.path("src")).unwrap();
    std::fs::write(place.path("src/.mig-lease"), "x").unwrap();
    std::fs::write(place.path("src/a"), "x").unwrap();
    let mut session = Session::start(&place, &[]);
    let copy = json!({"op": "copy", "id": "c", "src": "src", "dst": "dst", "lock": "wait"});
    let result = session.call(&copy);
    assert_eq!(result["failures"][0]["code"], "NAME_REFUSED", "{result}");
    let one = json!({"op": "copy", "id": "c", "src": "src/a", "dst": "b", "lock": "fail"});
    let refused = session.call(&one);
    assert_eq!(refused["error"]["at"]["field"], "lock", "{refused}");
    let mut odd = copy.clone();
    odd["lock"] = "fail".into();
    odd["lock_timeout"] = 5.into();
    let refused = session.call(&odd);
    assert_eq!(refused["error"]["at"]["field"], "lock_timeout", "{refused}");
    let memory = json!({"op": "copy", "id": "c", "src": "src", "dst": "memory://m/d",
        "exclude": [".mig-lease"], "lock": "fail"});
    assert_eq!(session.call(&memory)["status"], "ok");
}
