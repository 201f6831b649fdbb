//! A file of the right size is not yet the right file.

use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, SystemTime};

use migration_fixtures::large_file;
use serde_json::json;

use crate::copy;
use crate::session::{Place, Session, read};

fn set_time(place: &Place, name: &str, time: SystemTime) {
    let file = std::fs::OpenOptions::new().write(true).open(place.path(name)).unwrap();
    file.set_modified(time).unwrap();
}

/// Newer and older content of the same size is copied; only the same time says the same content.
#[test]
fn equal_size_is_no_reason_to_skip() {
    let place = Place::new();
    let now = SystemTime::now();
    let mut session = Session::start(&place, &[]);
    for (seed, age) in [(1, 3600), (2, 1), (3, 0)] {
        for newer in [true, false] {
            large_file(&place.path("src"), 100_000, seed).unwrap();
            large_file(&place.path("dst"), 100_000, seed + 100).unwrap();
            let other = now - Duration::from_secs(age) - Duration::from_nanos(100);
            let (src, dst) = if newer { (now, other) } else { (other, now) };
            set_time(&place, "src", src);
            set_time(&place, "dst", dst);
            let result = copy(&mut session, "src", "dst", &json!({"on_exists": "update"}));
            assert_eq!(result["metrics"]["items_ok"], 1, "{result}");
            assert!(read(&place.path("dst")) == read(&place.path("src")), "{age} {newer}");
        }
    }
}

/// What an allocating program leaves when it is killed: the right size, and zeros.
#[test]
fn an_allocated_file_full_of_nothing_is_copied_again() {
    let place = Place::new();
    large_file(&place.path("src"), 5 << 20, 1).unwrap();
    std::fs::File::create(place.path("dst")).unwrap().set_len(5 << 20).unwrap();
    set_time(&place, "dst", SystemTime::now() - Duration::from_secs(1));
    let mut session = Session::start(&place, &[]);
    let result = copy(&mut session, "src", "dst", &json!({"on_exists": "update"}));
    assert_eq!(result["status"], "ok", "{result}");
    assert!(read(&place.path("dst")) == read(&place.path("src")));
}

/// Killed while large files are being written, which are allocated ahead: nothing is taken for
/// done by its size.
#[test]
fn a_killed_copy_trusts_no_allocated_file() {
    let place = Place::new();
    large_file(&place.path("src"), 40 << 20, 1).unwrap();
    let command = json!({"op": "copy", "id": "c", "src": "src", "dst": "dst", "key": "k",
        "limits": {"bytes_per_s": "80MB"}});
    for round in 0..4 {
        let mut session = Session::start(&place, &["--progress-ms", "50"]);
        session.send(&command);
        session.until(|line| line["type"] == "progress" && line["bytes_done"].as_u64() > Some(0));
        std::thread::sleep(Duration::from_millis(30 * round));
        session.kill();
        assert!(!place.path("dst").exists());
    }
    let mut free = command.clone();
    free.as_object_mut().unwrap().remove("limits");
    free["key"] = "another".into();
    let other = Session::start(&place, &[]).call(&free);
    assert_eq!(other["status"], "ok", "{other}");
    let inode = std::fs::metadata(place.path("dst")).unwrap().ino();
    assert!(read(&place.path("dst")) == read(&place.path("src")));
    let resumed = Session::start(&place, &[]).call(&command);
    assert_eq!(resumed["error"]["code"], "DST_EXISTS", "{resumed}");
    assert_eq!(std::fs::metadata(place.path("dst")).unwrap().ino(), inode);
    assert_eq!(place.leftovers().len(), 0);
}
