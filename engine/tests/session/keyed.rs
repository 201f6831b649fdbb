//! A key makes a command happen once: replayed when done, resumed when not, refused when changed.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::Duration;

use migration_fixtures::{Aspects, Mounted, Sizes, SmallFiles, compare};
use serde_json::json;

use crate::session::{Place, Session};

fn inodes(dir: &std::path::Path) -> std::collections::BTreeMap<std::path::PathBuf, u64> {
    let mut open = vec![dir.to_owned()];
    let mut all = std::collections::BTreeMap::new();
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).into_iter().flatten() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                open.push(entry.path());
            } else {
                all.insert(entry.path(), entry.metadata().unwrap().ino());
            }
        }
    }
    all
}

#[test]
fn a_done_command_is_replayed_and_not_done_again() {
    let place = Place::new();
    std::fs::write(place.path("a"), "one").unwrap();
    let copy = json!({"op": "copy", "id": "c", "src": "a", "dst": "b", "key": "k"});
    let first = Session::start(&place, &[]).call(&copy);
    assert_eq!((&first["status"], first.get("replayed")), (&json!("ok"), None));
    std::fs::remove_file(place.path("b")).unwrap();
    let second = Session::start(&place, &[]).call(&copy);
    assert_eq!((&second["status"], &second["replayed"]), (&json!("ok"), &json!(true)));
    assert_eq!(second["data"], first["data"]);
    assert!(!place.path("b").exists());
    let mut other = copy.clone();
    other["dst"] = "elsewhere".into();
    let refused = Session::start(&place, &[]).call(&other);
    assert_eq!(refused["error"]["code"], "KEY_CONFLICT");
    let mut session = Session::start(&place, &[]);
    session.call(&json!({"op": "cleanup", "id": "u", "key": "k", "forget": true}));
    assert_eq!(session.call(&other)["status"], "ok");
}

#[test]
fn nothing_is_forgotten_without_a_key() {
    let place = Place::new();
    std::fs::write(place.path("a"), "one").unwrap();
    let copy = json!({"op": "copy", "id": "c", "src": "a", "dst": "b", "key": "k"});
    let mut session = Session::start(&place, &[]);
    let job = session.call(&copy)["job"].clone();
    for target in [json!(null), job] {
        let mut cleanup = json!({"op": "cleanup", "id": "u", "forget": true});
        if !target.is_null() {
            cleanup["target"] = target;
        }
        let refused = session.call(&cleanup);
        assert_eq!(
            (&refused["error"]["code"], &refused["error"]["at"]["field"]),
            (&json!("INVALID_FIELD"), &json!("forget")),
            "{refused}"
        );
    }
    assert_eq!(session.call(&copy)["replayed"], true);
}

#[test]
fn a_running_key_is_locked_for_others() {
    let place = Place::new();
    migration_fixtures::large_file(&place.path("a"), 4 << 20, 1).unwrap();
    let copy = json!({"op": "copy", "id": "c", "src": "a", "dst": "b", "key": "k", "limits": {"bytes_per_s": "2MB"}});
    let mut holder = Session::start(&place, &[]);
    holder.send(&copy);
    holder.until(|line| line["type"] == "state");
    std::thread::sleep(Duration::from_millis(200));
    let refused = Session::start(&place, &[]).call(&copy);
    assert_eq!(
        (&refused["error"]["code"], &refused["error"]["retryable"]),
        (&json!("LOCKED"), &json!(true))
    );
    assert_eq!(holder.result("c")["status"], "ok");
}

/// Killed again and again, a keyed copy ends up exact, never doubles, and keeps what it finished.
#[test]
fn a_killed_command_goes_on_where_it_stopped() {
    let place = Place::new();
    SmallFiles { count: 6000, sizes: Sizes::Fixed(700), fan_out: 300, seed: 8 }
        .build(&place.path("src"))
        .unwrap();
    let copy = json!({"op": "copy", "id": "c", "src": "src", "dst": "dst", "key": "k", "limits": {"ops_per_s": 12000}});
    let mut kept_over_all = 0;
    for round in 0..5u64 {
        let mut session = Session::start(&place, &[]);
        session.send(&copy);
        if round % 2 == 0 {
            session.until(|line| line["type"] == "checkpoint" || line["type"] == "result");
        } else {
            session.until(|line| line["type"] == "state");
            std::thread::sleep(Duration::from_millis(40 * round));
        }
        session.kill();
        let before = inodes(&place.path("dst"));
        let published = before
            .keys()
            .filter(|p| !p.file_name().unwrap().as_encoded_bytes().starts_with(b".mig-"));
        kept_over_all = kept_over_all.max(published.count());
    }
    let before = inodes(&place.path("dst"));
    let last = Session::start(&place, &[]).call(&copy);
    assert_eq!(last["status"], "ok", "{last}");
    assert_eq!(last["metrics"]["items_ok"], 6000);
    assert_eq!(compare(&place.path("src"), &place.path("dst"), &Aspects::default()).unwrap(), []);
    assert_eq!(place.leftovers().len(), 0);
    let after = inodes(&place.path("dst"));
    let redone =
        before.iter().filter(|(path, ino)| after.get(*path).is_some_and(|now| now != *ino)).count();
    assert_eq!(redone, 0, "finished files were written again");
    assert!(kept_over_all > 0, "no kill came after a checkpoint");
}

/// What was written by somebody else in the meantime is judged by on_exists, not taken for its own;
/// a source that changed is copied again over its own older copy.
#[test]
fn a_resumed_command_knows_its_own_work() {
    let place = Place::new();
    std::fs::create_dir(place.path("src")).unwrap();
    for n in 0..20 {
        std::fs::write(place.path(&format!("src/f{n}")), format!("content {n}")).unwrap();
    }
    rustix::fs::mknodat(
        rustix::fs::CWD,
        place.path("src/fifo"),
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .unwrap();
    let copy = json!({"op": "copy", "id": "c", "src": "src", "dst": "dst", "key": "k"});
    let first = Session::start(&place, &[]).call(&copy);
    assert_eq!(first["status"], "partial");
    let token = first["resume"].as_str().unwrap().to_owned();
    std::fs::remove_file(place.path("src/fifo")).unwrap();
    std::fs::write(place.path("src/f1"), "changed since").unwrap();
    std::fs::remove_file(place.path("dst/f2")).unwrap();
    std::fs::write(place.path("dst/f2"), "a stranger's").unwrap();
    let mut session = Session::start(&place, &[]);
    let second = session.call(&json!({"op": "resume", "id": "r", "token": token}));
    assert_eq!((&second["op"], &second["status"]), (&json!("copy"), &json!("partial")), "{second}");
    assert_eq!(second["failures"][0]["at"]["path"], "f2");
    assert_eq!(second["failures"][0]["code"], "DST_EXISTS");
    assert_eq!(std::fs::read(place.path("dst/f1")).unwrap(), b"changed since");
    assert_eq!(std::fs::read(place.path("dst/f2")).unwrap(), b"a stranger's");
    std::fs::remove_file(place.path("dst/f2")).unwrap();
    let third = session.call(&json!({"op": "resume", "id": "r2", "key": "k"}));
    assert_eq!(third["status"], "ok", "{third}");
    assert_eq!(compare(&place.path("src"), &place.path("dst"), &Aspects::default()).unwrap(), []);
}

/// What somebody wrote into a finished copy since is theirs, though the file is still the same one.
#[test]
fn a_rerun_does_not_take_back_what_others_wrote_into_its_copies() {
    let place = Place::new();
    std::fs::create_dir(place.path("src")).unwrap();
    std::fs::write(place.path("src/a"), "content").unwrap();
    std::fs::write(place.path("src/b"), "content").unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        place.path("src/fifo"),
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .unwrap();
    let copy = json!({"op": "copy", "id": "c", "src": "src", "dst": "dst", "key": "k"});
    Session::start(&place, &[]).call(&copy);
    std::fs::write(place.path("dst/a"), "content and more of mine").unwrap();
    std::fs::write(place.path("dst/b"), "CONTENT").unwrap();
    std::fs::write(place.path("src/a"), "changed too").unwrap();
    let again = Session::start(&place, &[]).call(&copy);
    assert_eq!(again["metrics"]["items_failed"], 3, "{again}");
    assert_eq!(std::fs::read(place.path("dst/a")).unwrap(), b"content and more of mine");
    assert_eq!(std::fs::read(place.path("dst/b")).unwrap(), b"CONTENT");
}

#[test]
fn the_manifest_of_a_resumed_copy_lists_all_of_it() {
    let place = Place::new();
    std::fs::create_dir(place.path("src")).unwrap();
    for n in 0..5 {
        std::fs::write(place.path(&format!("src/f{n}")), "content").unwrap();
    }
    let blocked = place.path("dst/f4");
    std::fs::create_dir_all(&blocked).unwrap();
    let copy = json!({"op": "copy", "id": "c", "src": "src", "dst": "dst", "key": "k", "manifest": "m.jsonl"});
    assert_eq!(Session::start(&place, &[]).call(&copy)["status"], "partial");
    std::fs::remove_dir(blocked).unwrap();
    assert_eq!(Session::start(&place, &[]).call(&copy)["status"], "ok");
    let text = std::fs::read_to_string(place.path("m.jsonl")).unwrap();
    assert_eq!(text.lines().count(), 5, "{text}");
    assert!(text.lines().all(|line| line.contains("crc64nvme")), "{text}");
}

/// A large file in hand when the engine died: its parts with receipts stay, in the same inode.
#[test]
fn a_killed_large_file_goes_on_in_the_same_file() {
    let place = Place::new();
    migration_fixtures::large_file(&place.path("src"), 96 << 20, 1).unwrap();
    // Receipts then wait for no device: how much it takes in between says nothing here.
    let copy = json!({"op": "copy", "id": "c", "src": "src", "dst": "dst", "key": "k", "durability": "crash", "parallel_chunks": 2});
    let mut attempts = Vec::new();
    for rate in ["24MB", "200MB"] {
        let mut session = Session::start(&place, &["--progress-ms", "50"]);
        session.call(&json!({"op": "limits", "id": "l", "bytes_per_s": rate}));
        session.send(&copy);
        session.until(|line| line["bytes_done"].as_u64() > Some(60 << 20));
        session.kill();
        let temps = place.leftovers();
        assert_eq!(temps.len(), 1, "{temps:?}");
        attempts.push((temps[0].clone(), temps[0].metadata().unwrap().ino()));
    }
    assert_eq!(attempts[0].1, attempts[1].1, "the second attempt began anew");
    assert_ne!(attempts[0].0, attempts[1].0, "a temporary name tells whose it is");
    // What stands there is not believed: somebody wrote into it since.
    let temp = std::fs::File::options().write(true).open(&attempts[1].0).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&temp, b"somebody", 5 << 20).unwrap();
    let result = Session::start(&place, &[]).call(&copy);
    assert_eq!((&result["status"], &result["data"]["method"]), (&json!("ok"), &json!("chunked")));
    assert_eq!(place.path("dst").metadata().unwrap().ino(), attempts[0].1);
    assert!(std::fs::read(place.path("dst")).unwrap() == std::fs::read(place.path("src")).unwrap());
    assert_eq!(place.leftovers(), Vec::<std::path::PathBuf>::new());
}

/// What an earlier attempt began is of no use once its source changed, and does not stay behind.
#[test]
fn a_changed_source_begins_anew() {
    let place = Place::new();
    migration_fixtures::large_file(&place.path("src"), 64 << 20, 1).unwrap();
    let copy = json!({"op": "copy", "id": "c", "src": "src", "dst": "dst", "key": "k", "checksum": "sha256"});
    let mut session = Session::start(&place, &["--progress-ms", "50"]);
    session.call(&json!({"op": "limits", "id": "l", "bytes_per_s": "20MB"}));
    session.send(&copy);
    session.until(|line| line["bytes_done"].as_u64() > Some(40 << 20));
    session.kill();
    let source = std::fs::File::options().write(true).open(place.path("src")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&source, b"changed", 3 << 20).unwrap();
    let result = Session::start(&place, &[]).call(&copy);
    assert_eq!(result["status"], "ok", "{result}");
    assert!(std::fs::read(place.path("dst")).unwrap() == std::fs::read(place.path("src")).unwrap());
    assert_eq!(place.leftovers(), Vec::<std::path::PathBuf>::new());
}

/// Receipts belong to the two directories they were made for, not to their names.
#[test]
fn another_directory_under_the_same_name_is_refused() {
    for side in ["src", "dst"] {
        let place = Place::new();
        SmallFiles { count: 500, sizes: Sizes::Fixed(700), fan_out: 100, seed: 8 }
            .build(&place.path("src"))
            .unwrap();
        let copy = json!({"op": "copy", "id": "c", "src": "src", "dst": "dst", "key": "k", "limits": {"ops_per_s": 400}});
        let mut session = Session::start(&place, &["--progress-ms", "50"]);
        session.send(&copy);
        session.until(|line| line["bytes_done"].as_u64() > Some(0));
        session.kill();
        std::fs::rename(place.path(side), place.path("elsewhere")).unwrap();
        std::fs::create_dir(place.path(side)).unwrap();
        let refused = Session::start(&place, &[]).call(&copy);
        assert_eq!(refused["error"]["code"], "RESUME_REFUSED", "{side}: {refused}");
        std::fs::remove_dir(place.path(side)).unwrap();
        std::fs::rename(place.path("elsewhere"), place.path(side)).unwrap();
        assert_eq!(Session::start(&place, &[]).call(&copy)["status"], "ok");
        let differences = compare(&place.path("src"), &place.path("dst"), &Aspects::default());
        assert_eq!(differences.unwrap(), []);
    }
}

/// A source that changes after the resumed command listed it and before it is opened is not mixed
/// with what an earlier attempt read.
#[test]
fn a_source_that_changes_before_it_is_opened_again_is_not_mixed() {
    let place = Place::new();
    std::fs::create_dir(place.path("src")).unwrap();
    migration_fixtures::large_file(&place.path("src/d"), 64 << 20, 1).unwrap();
    let copy = json!({"op": "copy", "id": "c", "src": "src", "dst": "dst", "key": "k", "parallel_files": 1});
    let slow = json!({"op": "limits", "id": "l", "bytes_per_s": "20MB"});
    let mut session = Session::start(&place, &["--progress-ms", "50"]);
    session.call(&slow);
    session.send(&copy);
    session.until(|line| line["bytes_done"].as_u64() > Some(40 << 20));
    session.kill();
    for name in ["a", "b", "e", "f"] {
        migration_fixtures::large_file(&place.path("src").join(name), 8 << 20, 2).unwrap();
    }
    let mut session = Session::start(&place, &["--progress-ms", "50"]);
    session.call(&slow);
    session.send(&copy);
    session.until(|line| line["bytes_done"].as_u64() > Some(0));
    let source = std::fs::File::options().write(true).open(place.path("src/d")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&source, &vec![b'x'; 4 << 20], 0).unwrap();
    session.call(&json!({"op": "limits", "id": "l2", "bytes_per_s": null}));
    let result = session.result("c");
    assert_eq!(result["status"], "ok", "{result}");
    let differences = compare(&place.path("src"), &place.path("dst"), &Aspects::default());
    assert_eq!(differences.unwrap(), []);
}

/// A machine that lost power may come up with other numbers for its devices: what was done stays
/// known, what was begun goes on.
#[test]
fn a_key_goes_on_when_its_devices_have_other_numbers() {
    let place = Place::new();
    let mut mounted = Mounted::image(&place.path("fs"), "ext4", 300 << 20, &[]);
    std::fs::create_dir_all(place.path("fs/src")).unwrap();
    for (n, bytes) in [(1, 1000), (2, 96 << 20)] {
        migration_fixtures::large_file(&place.path(&format!("fs/src/{n}")), bytes, n).unwrap();
    }
    let copy = json!({"op": "copy", "id": "c", "src": "fs/src", "dst": "fs/dst", "key": "k", "durability": "crash"});
    let mut session = Session::start(&place, &["--progress-ms", "50"]);
    session.call(&json!({"op": "limits", "id": "l", "bytes_per_s": "24MB"}));
    session.send(&copy);
    session.until(|line| line["bytes_done"].as_u64() > Some(60 << 20));
    session.kill();
    let temps = place.leftovers();
    let inode = temps[0].metadata().unwrap().ino();
    mounted.on_another_device();
    let result = Session::start(&place, &[]).call(&copy);
    assert_eq!(result["status"], "ok", "{result}");
    assert_eq!(place.path("fs/dst/2").metadata().unwrap().ino(), inode, "it began anew");
    let differences = compare(&place.path("fs/src"), &place.path("fs/dst"), &Aspects::default());
    assert_eq!(differences.unwrap(), []);
}

/// What somebody wrote into the hole of a file that was begun is not there in the end.
#[test]
fn holes_of_a_file_that_was_begun_are_holes_again() {
    for algorithm in ["crc64nvme", "sha256"] {
        let place = Place::new();
        migration_fixtures::large_file(&place.path("src"), 64 << 20, 1).unwrap();
        let source = std::fs::File::options().write(true).open(place.path("src")).unwrap();
        source.set_len(128 << 20).unwrap();
        let copy = json!({"op": "copy", "id": "c", "src": "src", "dst": "dst", "key": "k",
            "durability": "crash", "checksum": algorithm, "parallel_chunks": 1});
        let mut session = Session::start(&place, &["--progress-ms", "50"]);
        session.call(&json!({"op": "limits", "id": "l", "bytes_per_s": "20MB"}));
        session.send(&copy);
        session.until(|line| line["bytes_done"].as_u64() > Some(48 << 20));
        session.kill();
        let temp = place.leftovers().pop().unwrap();
        let inode = temp.metadata().unwrap().ino();
        let file = std::fs::File::options().write(true).open(&temp).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, b"somebody", 80 << 20).unwrap();
        file.set_len(200 << 20).unwrap();
        let result = Session::start(&place, &[]).call(&copy);
        assert_eq!(result["status"], "ok", "{result}");
        assert_eq!(place.path("dst").metadata().unwrap().ino(), inode, "it began anew");
        let (src, dst) = (std::fs::read(place.path("src")), std::fs::read(place.path("dst")));
        assert!(src.unwrap() == dst.unwrap(), "{algorithm}");
    }
}

/// A cancelled key goes on where it was, and is cleaned up by its record when nobody wants it.
#[test]
fn a_cancelled_large_file_goes_on_in_the_same_file() {
    let place = Place::new();
    migration_fixtures::large_file(&place.path("src"), 96 << 20, 1).unwrap();
    let copy = json!({"op": "copy", "id": "c", "src": "src", "dst": "dst", "key": "k",
        "limits": {"bytes_per_s": "40MB"}});
    let cancelled = |session: &mut Session| {
        session.send(&copy);
        session.until(|line| line["bytes_done"].as_u64() > Some(40 << 20));
        session.send(&json!({"op": "cancel", "id": "x", "target": "c"}));
        let result = session.result("c");
        assert_eq!(result["status"], "cancelled", "{result}");
        place.leftovers().first().map(|temp| temp.metadata().unwrap().ino())
    };
    let mut session = Session::start(&place, &["--progress-ms", "50"]);
    let inode = cancelled(&mut session);
    assert!(inode.is_some() && cancelled(&mut session) == inode);
    assert_eq!(session.call(&json!({"op": "cleanup", "id": "u"}))["data"]["removed"], 1);
    assert_eq!(place.leftovers(), [""; 0].map(PathBuf::from));
    assert!(cancelled(&mut session).is_some());
    let result = session.call(&copy);
    assert_eq!(result["status"], "ok", "{result}");
    assert!(std::fs::read(place.path("dst")).unwrap() == std::fs::read(place.path("src")).unwrap());
    assert_eq!(place.leftovers(), [""; 0].map(PathBuf::from));
    assert_eq!(session.call(&json!({"op": "cleanup", "id": "v"}))["data"]["removed"], 0);
}
