//! A copy that does not come about leaves what stood there before.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use migration_fixtures::large_file;
use serde_json::json;

use crate::copy;
use crate::session::{Place, Session, read};

/// The source never holds still, so there is no copy; the old one stays whole.
#[test]
fn a_failed_replacement_keeps_the_old_file() {
    let place = Place::new();
    large_file(&place.path("src"), 6 << 20, 1).unwrap();
    large_file(&place.path("dst"), 1 << 20, 2).unwrap();
    let old = read(&place.path("dst"));
    let done = AtomicBool::new(false);
    let mut session = Session::start(&place, &[]);
    let result = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                let mut file =
                    std::fs::OpenOptions::new().append(true).open(place.path("src")).unwrap();
                file.write_all(b"more").unwrap();
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        });
        let fields = json!({"on_exists": "replace", "limits": {"bytes_per_s": "40MB"}});
        let result = copy(&mut session, "src", "dst", &fields);
        done.store(true, Ordering::Release);
        result
    });
    assert_eq!(result["error"]["code"], "SRC_CHANGED", "{result}");
    assert!(read(&place.path("dst")) == old);
    assert_eq!(place.leftovers().len(), 0);
}

/// A limit on the size of files is an answer of the system, not the end of the process.
#[test]
fn a_file_too_large_for_its_limit_fails_and_keeps_the_old_file() {
    let place = Place::new();
    large_file(&place.path("src"), 3 << 20, 1).unwrap();
    large_file(&place.path("dst"), 1 << 20, 2).unwrap();
    let old = read(&place.path("dst"));
    let command =
        json!({"op": "copy", "id": "c", "src": "src", "dst": "dst", "on_exists": "replace"});
    let script = format!(
        "ulimit -f 2000; echo '{command}' | \"$0\" serve --state-dir .state > answers; exit $?"
    );
    let ended = std::process::Command::new("bash")
        .args(["-c", &script, env!("CARGO_BIN_EXE_migration-engine")])
        .current_dir(place.dir.path())
        .status()
        .unwrap();
    let answers = std::fs::read_to_string(place.path("answers")).unwrap();
    assert_eq!(ended.code(), Some(75), "{answers}");
    assert!(answers.contains("DST_NO_SPACE"), "{answers}");
    assert!(read(&place.path("dst")) == old);
    assert_eq!(place.leftovers().len(), 0);
}
