//! `compare`: what `on_exists: "update"` takes for the same.

use std::path::Path;
use std::time::{Duration, SystemTime};

use migration_fixtures::{Mounted, large_file};
use serde_json::{Value, json};

use crate::session::{Place, Session, read};

fn set_time(path: &Path, time: SystemTime) {
    std::fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

fn update(place: &Place, compare: &str) -> (Value, Value) {
    let command = json!({"op": "copy", "id": "c", "src": "src", "dst": "dst",
        "on_exists": "update", "compare": compare});
    let mut planned = command.clone();
    planned["dry_run"] = true.into();
    let mut session = Session::start(place, &[]);
    let planned = session.call(&planned);
    let done = session.call(&command);
    assert_eq!(planned["data"]["skip"], done["metrics"]["items_skipped"], "{planned} {done}");
    assert_eq!(done["status"], "ok", "{done}");
    (done["metrics"]["items_ok"].clone(), done["metrics"]["items_skipped"].clone())
}

#[test]
fn newer_and_older_times_are_different_and_equal_ones_the_same() {
    let place = Place::new();
    std::fs::create_dir(place.path("src")).unwrap();
    let now = SystemTime::now();
    for name in ["same", "newer", "older", "sneaky"] {
        std::fs::write(place.path("src").join(name), "one").unwrap();
        set_time(&place.path("src").join(name), now);
    }
    assert_eq!(update(&place, "time"), (json!(4), json!(0)));
    for (name, time) in [
        ("newer", now + Duration::from_nanos(1000)),
        ("older", now - Duration::from_secs(3600)),
        ("sneaky", now),
    ] {
        std::fs::write(place.path("src").join(name), "two").unwrap();
        set_time(&place.path("src").join(name), time);
    }
    assert_eq!(update(&place, "time"), (json!(2), json!(2)));
    assert_eq!(read(&place.path("dst/newer")), b"two");
    assert_eq!(read(&place.path("dst/older")), b"two");
    assert_eq!(read(&place.path("dst/sneaky")), b"one", "its size and time say it is the same");
    assert_eq!(update(&place, "digest"), (json!(1), json!(3)));
    assert_eq!(read(&place.path("dst/sneaky")), b"two");
}

#[test]
fn contents_decide_whatever_the_times_and_to_the_last_byte() {
    let place = Place::new();
    std::fs::create_dir(place.path("src")).unwrap();
    for (name, bytes) in [("empty", 0), ("odd", 3_000_001), ("even", 4 << 20)] {
        large_file(&place.path("src").join(name), bytes, 9).unwrap();
    }
    std::os::unix::fs::symlink("odd", place.path("src/link")).unwrap();
    assert_eq!(update(&place, "digest"), (json!(4), json!(0)));
    for name in ["empty", "odd", "even"] {
        set_time(&place.path("src").join(name), SystemTime::UNIX_EPOCH);
    }
    assert_eq!(update(&place, "digest"), (json!(0), json!(4)));
    for at in [0, 1_500_000, 3_000_000] {
        let mut bytes = read(&place.path("src/odd"));
        bytes[at] ^= 1;
        std::fs::write(place.path("src/odd"), &bytes).unwrap();
        assert_eq!(update(&place, "digest"), (json!(1), json!(3)), "{at}");
        assert!(read(&place.path("dst/odd")) == bytes);
    }
    // One file, and a tree that the operator reaches through a link.
    let one = json!({"op": "copy", "id": "c", "src": "src/odd", "dst": "dst/odd",
        "on_exists": "update", "compare": "digest"});
    let mut session = Session::start(&place, &[]);
    assert_eq!(session.call(&one)["metrics"]["items_skipped"], 1);
    std::os::unix::fs::symlink("dst", place.path("through")).unwrap();
    let tree = json!({"op": "copy", "id": "c", "src": "src", "dst": "through",
        "on_exists": "update", "compare": "digest"});
    assert_eq!(session.call(&tree)["metrics"]["items_skipped"], 4);
}

/// A filesystem of whole seconds: a second run has nothing to do.
#[test]
fn coarse_filesystems_are_met_at_their_step() {
    let place = Place::new();
    let at = place.path("mounted");
    let _ext3 = Mounted::image(&at, "ext3", 16 << 20, &["-I", "128"]);
    std::fs::create_dir(place.path("src")).unwrap();
    for n in 0..5u32 {
        let path = place.path("src").join(n.to_string());
        std::fs::write(&path, "x").unwrap();
        set_time(&path, SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 999_999_000 + n));
    }
    let mut session = Session::start(&place, &[]);
    let mut copy = json!({"op": "copy", "id": "c", "src": "src", "dst": "mounted/dst",
        "on_exists": "update"});
    let first = session.call(&copy);
    let second = session.call(&copy);
    set_time(&place.path("src/0"), SystemTime::UNIX_EPOCH + Duration::from_secs(1_699_999_999));
    let third = session.call(&copy);
    // The other way round: what was rounded is the source now.
    copy["src"] = "mounted/dst".into();
    copy["dst"] = "src".into();
    let back = session.call(&copy);
    session.end();
    let skipped = |result: &Value| result["metrics"]["items_skipped"].clone();
    assert_eq!(
        (&first["metrics"]["items_ok"], skipped(&second)),
        (&json!(5), json!(5)),
        "{second}"
    );
    assert_eq!((skipped(&third), skipped(&back)), (json!(4), json!(5)), "{third} {back}");
}
