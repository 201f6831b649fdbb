//! Sources that change and directories that are swapped while a copy runs.

use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};

use migration_fixtures::{Canary, large_file};
use serde_json::json;

use crate::session::{Place, Session, read};

/// Runs `change` over and over while `test` runs.
fn meanwhile(change: impl Fn(u64) + Sync, test: impl FnOnce()) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0.. {
                if done.load(Ordering::Acquire) {
                    return;
                }
                change(round);
            }
        });
        test();
        done.store(true, Ordering::Release);
    });
}

/// Rewritten in place over and over: what was caught changing has no name at the destination.
#[test]
fn a_source_that_is_rewritten_is_refused_and_nothing_of_it_published() {
    let place = Place::new();
    let size = 2usize << 20;
    let source = place.path("src");
    std::fs::write(&source, vec![0; size]).unwrap();
    let rewrite = |round: u64| {
        let mut file = std::fs::OpenOptions::new().write(true).open(&source).unwrap();
        file.write_all(&vec![(round % 251) as u8; size]).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(round % 7));
    };
    let mut session = Session::start(&place, &[]);
    let (mut copied, mut refused) = (0, 0);
    meanwhile(rewrite, || {
        for round in 0..60 {
            let id = format!("c{round}");
            let result = session.call(
                &json!({"op": "copy", "id": id, "src": "src", "dst": id, "durability": "crash"}),
            );
            match result["error"]["code"].as_str() {
                None => copied += 1,
                Some("SRC_CHANGED") => refused += 1,
                Some(other) => panic!("{other}: {result}"),
            }
            let copy = std::fs::read(place.path(&id));
            assert_eq!(copy.is_ok(), result["status"] == "ok", "a refused copy was published");
            assert!(copy.is_err() || copy.is_ok_and(|bytes| bytes.len() == size));
        }
    });
    assert!(refused > 0 && copied + refused == 60, "{copied} copied, {refused} refused");
    assert_eq!(place.leftovers().len(), 0);
}

#[test]
fn a_source_that_grows_or_shrinks_is_never_cut_or_padded() {
    let place = Place::new();
    let source = place.path("src");
    large_file(&source, 4 << 20, 7).unwrap();
    let whole = read(&source);
    let resize = |round: u64| {
        let file = std::fs::OpenOptions::new().write(true).open(&source).unwrap();
        file.set_len(1 << 20).unwrap();
        std::thread::sleep(std::time::Duration::from_micros(300 * (round % 5)));
        std::io::Seek::seek(&mut &file, std::io::SeekFrom::Start(1 << 20)).unwrap();
        (&file).write_all(&whole[1 << 20..]).unwrap();
        std::thread::sleep(std::time::Duration::from_micros(900 * (round % 9)));
    };
    let mut session = Session::start(&place, &[]);
    meanwhile(resize, || {
        for round in 0..60 {
            let id = format!("c{round}");
            let result = session.call(
                &json!({"op": "copy", "id": id, "src": "src", "dst": id, "durability": "crash"}),
            );
            match result["status"].as_str() {
                Some("ok") => {
                    let bytes = read(&place.path(&id));
                    assert_eq!(result["metrics"]["bytes"], bytes.len());
                    assert!(whole.starts_with(&bytes), "{} bytes", bytes.len());
                }
                _ => assert_eq!(result["error"]["code"], "SRC_CHANGED", "{result}"),
            }
        }
    });
}

/// Directories of source and destination are swapped for links to a place outside, back and forth.
#[test]
fn a_directory_swapped_for_a_link_leads_nowhere() {
    let place = Place::new();
    let canary = Canary::plant(&place.path("outside")).unwrap();
    let secret = std::fs::read(canary.marker()).unwrap();
    for side in ["src", "dst"] {
        std::fs::create_dir_all(place.path(side).join("d")).unwrap();
        symlink(canary.root(), place.path(&format!("link-{side}"))).unwrap();
    }
    for n in 0..50 {
        std::fs::write(place.path(&format!("src/d/f{n}")), "inside").unwrap();
    }
    std::fs::write(place.path("src/d/marker"), "inside").unwrap();
    let swap = |_| {
        for side in ["src", "dst"] {
            let (dir, link) = (place.path(side).join("d"), place.path(&format!("link-{side}")));
            let flags = rustix::fs::RenameFlags::EXCHANGE;
            rustix::fs::renameat_with(rustix::fs::CWD, &dir, rustix::fs::CWD, &link, flags)
                .unwrap();
        }
    };
    let mut session = Session::start(&place, &[]);
    meanwhile(swap, || {
        for round in 0..150 {
            let id = format!("c{round}");
            session.call(&json!({"op": "copy", "id": id, "src": "src", "dst": "dst",
                "on_exists": "replace", "durability": "crash"}));
        }
    });
    assert_eq!(canary.changed().unwrap(), [""; 0].map(std::path::PathBuf::from));
    for dir in ["dst/d", "link-dst"] {
        let path = place.path(dir);
        if std::fs::symlink_metadata(&path).unwrap().is_symlink() {
            continue;
        }
        for entry in std::fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            if std::fs::symlink_metadata(&path).unwrap().is_file() {
                assert_ne!(read(&path), secret, "{}", path.display());
            }
        }
    }
}

/// Two writers of one name: with on_exists fail exactly one wins, and its content stays.
#[test]
fn of_many_writers_of_one_name_one_wins() {
    let place = Place::new();
    for n in 0..8 {
        large_file(&place.path(&format!("s{n}")), 1 << 20, n).unwrap();
    }
    let mut session = Session::start(&place, &["--jobs", "8"]);
    for round in 0..10 {
        for n in 0..8 {
            let id = format!("c{round}-{n}");
            session.send(&json!({"op": "copy", "id": id, "src": format!("s{n}"), "dst": format!("d{round}")}));
        }
    }
    let (_, seen) = session.end();
    for round in 0..10 {
        let prefix = format!("c{round}-");
        let results: Vec<_> = seen
            .iter()
            .filter(|l| l["type"] == "result" && l["id"].as_str().unwrap().starts_with(&prefix))
            .collect();
        let winners: Vec<_> = results.iter().filter(|l| l["status"] == "ok").collect();
        assert_eq!(winners.len(), 1, "{results:?}");
        let n = winners[0]["id"].as_str().unwrap().rsplit('-').next().unwrap();
        assert_eq!(read(&place.path(&format!("d{round}"))), read(&place.path(&format!("s{n}"))));
        let others = results.iter().filter(|l| l["error"]["code"] == "DST_EXISTS");
        assert_eq!(others.count(), 7);
    }
}

/// What somebody put at the destination while the copy ran is theirs.
#[test]
fn what_changed_at_the_destination_meanwhile_is_left() {
    let place = Place::new();
    migration_fixtures::large_file(&place.path("src"), 24 << 20, 1).unwrap();
    std::fs::write(place.path("dst"), "old").unwrap();
    let copy = json!({"op": "copy", "id": "c", "src": "src", "dst": "dst", "on_exists": "replace"});
    let mut session = Session::start(&place, &["--progress-ms", "50"]);
    session.call(&json!({"op": "limits", "id": "l", "bytes_per_s": "10MB"}));
    session.send(&copy);
    session.until(|line| line["bytes_done"].as_u64() > Some(0));
    std::fs::write(place.path("new"), "somebody's").unwrap();
    std::fs::rename(place.path("new"), place.path("dst")).unwrap();
    session.call(&json!({"op": "limits", "id": "m", "bytes_per_s": null}));
    let result = session.result("c");
    assert_eq!(
        (&result["error"]["code"], &result["error"]["retryable"]),
        (&json!("DST_CHANGED"), &json!(true)),
        "{result}"
    );
    assert_eq!(std::fs::read(place.path("dst")).unwrap(), b"somebody's");
    assert_eq!(place.leftovers(), [""; 0].map(std::path::PathBuf::from));
    assert_eq!(session.call(&copy)["status"], "ok");
    assert!(std::fs::read(place.path("dst")).unwrap() == std::fs::read(place.path("src")).unwrap());
}
