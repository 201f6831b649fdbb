//! `delete`: what the source does not have goes, and nothing else ever does.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use migration_fixtures::{Canary, Mounted, Sizes, SmallFiles};
use serde_json::{Value, json};

use crate::session::{Place, Session};

/// Makes files of these names beneath `root`, each holding its own name.
fn files(root: &Path, names: &[&str]) {
    for name in names {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, name).unwrap();
    }
}

fn mirror(place: &Place, change: Value) -> Value {
    let mut command = json!({"op": "copy", "id": "m", "src": "src", "dst": "dst",
        "on_exists": "update", "delete": true});
    command.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    Session::start(place, &[]).call(&command)
}

/// Every name beneath `root`, sorted.
fn names(root: &Path) -> Vec<String> {
    let mut all = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            let name = entry.path().strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            all.push(name);
            if entry.file_type().unwrap().is_dir() {
                open.push(entry.path());
            }
        }
    }
    all.sort();
    all
}

fn scene() -> Place {
    let place = Place::new();
    files(&place.path("src"), &["a", "b", "d/c", "d/e/f", "g", "h", "i"]);
    assert_eq!(mirror(&place, json!({}))["data"]["deleted"], 0);
    place
}

#[test]
fn what_the_source_lost_goes_and_a_second_run_has_nothing_to_do() {
    let place = scene();
    std::fs::remove_file(place.path("src/a")).unwrap();
    std::fs::remove_dir_all(place.path("src/d/e")).unwrap();
    files(&place.path("src"), &["new"]);
    std::fs::create_dir_all(place.path("dst/old/empty")).unwrap();
    let before = std::fs::metadata(place.path("src/d")).unwrap().modified().unwrap();
    let planned = mirror(&place, json!({"dry_run": true}));
    assert_eq!(
        (&planned["data"]["delete"], planned["data"]["delete_sample"].as_array().unwrap().len()),
        (&json!(5), 5),
        "{planned}"
    );
    assert_eq!(planned["data"].get("delete_refused"), None);
    let done = mirror(&place, json!({}));
    assert_eq!((&done["status"], &done["data"]["deleted"]), (&json!("ok"), &json!(5)), "{done}");
    assert_eq!(names(&place.path("dst")), names(&place.path("src")));
    let after = std::fs::metadata(place.path("dst/d")).unwrap().modified().unwrap();
    assert_eq!(after, before, "the directory's time was not set again");
    let again = mirror(&place, json!({}));
    assert_eq!((&again["status"], &again["data"]["deleted"]), (&json!("ok"), &json!(0)));
    assert!(!place.path("dst/.mig-lease").exists());
}

#[test]
fn each_removed_name_is_told_to_who_asks() {
    let place = scene();
    std::fs::remove_dir_all(place.path("src/d")).unwrap();
    let mut session = Session::start(&place, &[]);
    session.call(&json!({"op": "hello", "id": "h", "events": ["item", "progress"]}));
    session.send(&json!({"op": "copy", "id": "m", "src": "src", "dst": "dst",
        "on_exists": "update", "delete": true}));
    let mut told = Vec::new();
    loop {
        let line = session.next();
        if line["type"] == "item" && line["status"] == "deleted" {
            told.push(line["path"].as_str().unwrap().to_owned());
        }
        if line["type"] == "result" {
            break assert_eq!(line["data"]["deleted"], 4, "{line}");
        }
    }
    let at = |name: &str| told.iter().position(|told| told == name).unwrap();
    assert!(at("d/e/f") < at("d/e") && at("d/c") < at("d") && at("d/e") < at("d"), "{told:?}");
}

#[test]
fn a_source_without_items_deletes_nothing() {
    let place = scene();
    let before = names(&place.path("dst"));
    std::fs::remove_dir_all(place.path("src")).unwrap();
    std::fs::create_dir_all(place.path("src/d/e")).unwrap();
    let most = json!({"max_delete": {}});
    let halted = mirror(&place, most.clone());
    assert_eq!(
        (&halted["status"], &halted["error"]["code"]),
        (&json!("failed"), &json!("DELETE_HALTED")),
        "{halted}"
    );
    assert_eq!(names(&place.path("dst")), before);
    let planned = mirror(&place, json!({"max_delete": {}, "dry_run": true}));
    assert_eq!(planned["data"]["delete_refused"], "DELETE_HALTED");
    // Nothing but links and empty directories is not nothing.
    symlink("nowhere", place.path("src/link")).unwrap();
    assert_eq!(mirror(&place, most)["status"], "ok");
    assert_eq!(names(&place.path("dst")), ["d", "d/e", "link"]);
}

#[test]
fn any_failed_item_or_listing_deletes_nothing() {
    let place = scene();
    std::fs::remove_file(place.path("src/a")).unwrap();
    let before = names(&place.path("dst"));
    let halted = |done: &Value| {
        assert_eq!((&done["status"], &done["data"]["deleted"]), (&json!("partial"), &json!(0)));
        assert!(done["warnings_total"].as_u64() > Some(0), "{done}");
        assert_eq!(names(&place.path("dst")), before);
    };
    // An item that fails.
    files(&place.path("src"), &[".mig-01234567-0.part"]);
    halted(&mirror(&place, json!({})));
    std::fs::remove_file(place.path("src/.mig-01234567-0.part")).unwrap();
    // An entry that cannot be looked at: a link that leads back up, followed.
    symlink("..", place.path("src/d/up")).unwrap();
    halted(&mirror(&place, json!({"symlinks": "follow"})));
    std::fs::remove_file(place.path("src/d/up")).unwrap();
    assert_eq!(mirror(&place, json!({}))["data"]["deleted"], 1);
}

/// A directory of the source that vanishes between its listing and its opening, over and over, is
/// either seen whole or halts the deletion: what stays in the source always stays.
#[test]
fn a_source_directory_that_comes_and_goes_never_loses_its_files() {
    let place = scene();
    let (there, away) = (place.path("src/d"), place.path("away"));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                std::fs::rename(&there, &away).unwrap();
                std::fs::rename(&away, &there).unwrap();
            }
        });
        for _ in 0..30 {
            let result = mirror(&place, json!({"max_delete": {"count": 0}}));
            let code = result["error"]["code"].as_str();
            assert!(code.is_none_or(|c| c == "DELETE_LIMIT" || c.starts_with("SRC")), "{result}");
            assert!(place.path("dst/d/e/f").exists());
        }
        done.store(true, Ordering::Release);
    });
}

#[test]
fn the_caps_stop_all_of_it() {
    let place = scene();
    for gone in ["a", "b", "g"] {
        std::fs::remove_file(place.path("src").join(gone)).unwrap();
    }
    let before = names(&place.path("dst"));
    for (most, refused) in [
        (json!({"max_delete": {"count": 2}}), true),
        (json!({"max_delete": {"percent": 42}}), true),
        (json!({"max_delete": {"count": 3, "percent": 43}, "dry_run": true}), false),
        (json!({"max_delete": {"count": 3, "percent": 42}}), true),
    ] {
        let done = mirror(&place, most.clone());
        assert_eq!(done["error"]["code"] == "DELETE_LIMIT", refused, "{most} {done}");
        assert_eq!(names(&place.path("dst")), before);
    }
    let planned = mirror(&place, json!({"max_delete": {"count": 2}, "dry_run": true}));
    assert_eq!(planned["data"]["delete_refused"], "DELETE_LIMIT", "{planned}");
    assert_eq!(mirror(&place, json!({"max_delete": {"count": 3}}))["data"]["deleted"], 3);
    let odd = mirror(&place, json!({"max_delete": {"percent": 101}}));
    assert_eq!(odd["error"]["at"]["field"], "max_delete.percent", "{odd}");
}

/// Another tree given as the source by mistake: as many new items as old ones are no half.
#[test]
fn the_share_is_of_what_stood_there_before() {
    let place = scene();
    files(&place.path("wrong"), &["1", "2", "3", "4", "5", "6", "7", "8"]);
    let done = mirror(&place, json!({"src": "wrong"}));
    assert_eq!(done["error"]["code"], "DELETE_LIMIT", "{done}");
    assert!(place.path("dst/a").exists() && place.path("dst/1").exists());
}

#[test]
fn names_left_out_of_the_copy_are_protected() {
    let place = scene();
    files(
        &place.path("dst"),
        &[
            "x.log",
            "old/deep/keep.log",
            "old/gone",
            "cache/y",
            ".mig-01234567-0.part",
            "sub/.mig-89abcdef-1.part",
        ],
    );
    let done = mirror(&place, json!({"exclude": ["*.log", "cache"], "max_delete": {}}));
    assert_eq!((&done["status"], &done["data"]["deleted"]), (&json!("ok"), &json!(1)), "{done}");
    for kept in [
        "x.log",
        "old/deep/keep.log",
        "cache/y",
        ".mig-01234567-0.part",
        "sub/.mig-89abcdef-1.part",
    ] {
        assert!(place.path("dst").join(kept).exists(), "{kept}");
    }
    assert!(!place.path("dst/old/gone").exists());
    files(&place.path("dst"), &["p.csv", "q.txt", "dir/r.csv"]);
    files(&place.path("src"), &["s.csv"]);
    let done = mirror(&place, json!({"include": ["*.csv"], "max_delete": {}}));
    assert_eq!(done["data"]["deleted"], 2, "{done}");
    assert!(place.path("dst/q.txt").exists() && place.path("dst/dir").exists());
}

#[test]
fn links_go_as_links_and_followed_ones_are_seen_through() {
    let place = scene();
    let canary = Canary::plant(&place.path("outside")).unwrap();
    symlink(canary.root(), place.path("dst/out")).unwrap();
    symlink(canary.root(), place.path("dst/d/out")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        place.path("dst/fifo"),
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .unwrap();
    assert_eq!(mirror(&place, json!({}))["data"]["deleted"], 3);
    assert_eq!(canary.changed().unwrap(), [""; 0].map(std::path::PathBuf::from));
    // Content of a followed link stands at the destination as a directory of its own.
    symlink("d", place.path("src/again")).unwrap();
    let followed = json!({"symlinks": "follow"});
    assert_eq!(mirror(&place, followed.clone())["data"]["deleted"], 0);
    assert!(place.path("dst/again/e/f").is_file());
    let done = mirror(&place, followed.clone());
    assert_eq!((&done["status"], &done["data"]["deleted"]), (&json!("ok"), &json!(0)), "{done}");
    std::fs::remove_file(place.path("src/d/c")).unwrap();
    assert_eq!(mirror(&place, followed)["data"]["deleted"], 2);
    assert!(!place.path("dst/again/c").exists() && place.path("dst/again/e/f").exists());
    // Links that were left out stand in the source all the same.
    let skipped = mirror(&place, json!({"symlinks": "skip"}));
    assert_eq!(skipped["data"]["deleted"], 0, "{skipped}");
}

/// While names are removed, the directory that holds them is swapped for a link to a place outside.
#[test]
fn a_directory_swapped_for_a_link_leads_the_removal_nowhere() {
    let place = Place::new();
    let canary = Canary::plant(&place.path("outside")).unwrap();
    files(&place.path("src"), &["a"]);
    symlink(canary.root(), place.path("link")).unwrap();
    std::fs::create_dir_all(place.path("dst/d")).unwrap();
    let (dir, link) = (place.path("dst/d"), place.path("link"));
    let swap = || {
        let flags = rustix::fs::RenameFlags::EXCHANGE;
        rustix::fs::renameat_with(rustix::fs::CWD, &dir, rustix::fs::CWD, &link, flags)
    };
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                let _ = swap();
            }
        });
        for round in 0..40 {
            for at in [&dir, &link] {
                for n in 0..40 {
                    if std::fs::symlink_metadata(at).is_ok_and(|facts| facts.is_dir()) {
                        let _ = std::fs::write(at.join(format!("f{n}")), "x");
                    }
                }
            }
            let done = mirror(&place, json!({"max_delete": {}, "durability": "crash"}));
            assert!(done["error"].is_null() || done["status"] == "partial", "{round}: {done}");
        }
        done.store(true, Ordering::Release);
    });
    let outside: Vec<_> = canary.changed().unwrap();
    // The test itself may have written through the link; nothing may be missing.
    let is_there = |path: &std::path::PathBuf| canary.root().join(path).exists();
    assert!(outside.iter().all(is_there), "{outside:?}");
    assert!(canary.marker().exists());
}

/// A filesystem mounted beneath the destination is not the destination's.
#[test]
fn what_is_mounted_beneath_the_destination_is_left_alone() {
    let place = scene();
    files(&place.path("dst"), &["bound/z"]);
    files(&place.path("other"), &["mine"]);
    std::fs::create_dir_all(place.path("dst/tmp")).unwrap();
    let (tmp, bound) = (place.path("dst/tmp"), place.path("dst/bound"));
    let other = place.path("other");
    let mounted = (Mounted::bare(&tmp, "tmpfs"), Mounted::bound(&bound, &other));
    std::fs::write(tmp.join("theirs"), "x").unwrap();
    let done = mirror(&place, json!({"max_delete": {}}));
    let kept = tmp.join("theirs").exists() && other.join("mine").exists();
    drop(mounted);
    assert!(kept, "{done}");
    assert_eq!((&done["status"], &done["data"]["deleted"]), (&json!("ok"), &json!(0)), "{done}");
    assert_eq!(mirror(&place, json!({"max_delete": {}}))["data"]["deleted"], 3);
}

#[test]
fn a_hundred_thousand_names_take_no_more_memory() {
    let place = Place::new();
    files(&place.path("src"), &["a"]);
    SmallFiles { count: 100_000, sizes: Sizes::Fixed(0), fan_out: 1000, seed: 5 }
        .build(&place.path("dst"))
        .unwrap();
    let mut session = Session::start(&place, &["--memory-cap", "64MiB"]);
    let done = session.call(&json!({"op": "copy", "id": "m", "src": "src", "dst": "dst",
        "delete": true, "max_delete": {"percent": 100}, "durability": "crash"}));
    assert_eq!(done["status"], "ok", "{done}");
    assert!(done["data"]["deleted"].as_u64() >= Some(100_000), "{done}");
    assert_eq!(names(&place.path("dst")), ["a"]);
    assert!(session.memory("VmHWM:") < 64 << 20, "{}", session.memory("VmHWM:"));
}

#[test]
fn overlapping_roots_are_refused_and_keys_recompute() {
    let place = scene();
    for (src, dst) in [("src", "src"), ("src", "src/d"), ("src/d", "src")] {
        let refused = mirror(&place, json!({"src": src, "dst": dst}));
        assert_eq!(refused["error"]["code"], "OVERLAP", "{refused}");
    }
    std::fs::remove_file(place.path("src/a")).unwrap();
    let over = mirror(&place, json!({"key": "k", "max_delete": {"count": 0}}));
    assert_eq!(over["error"]["code"], "DELETE_LIMIT");
    std::fs::remove_file(place.path("dst/a")).unwrap();
    let done = mirror(&place, json!({"key": "k", "max_delete": {"count": 0}}));
    assert_eq!((&done["status"], &done["data"]["deleted"]), (&json!("ok"), &json!(0)), "{done}");
}

#[test]
fn flat_stores_are_mirrored_by_their_keys() {
    let place = scene();
    let mut session = Session::start(&place, &[]);
    let into = json!({"op": "copy", "id": "m", "src": "src", "dst": "memory://flat/root",
        "on_exists": "replace", "delete": true});
    assert_eq!(session.call(&into)["data"]["deleted"], 0);
    std::fs::remove_dir_all(place.path("src/d")).unwrap();
    let done = session.call(&into);
    assert_eq!((&done["status"], &done["data"]["deleted"]), (&json!("ok"), &json!(2)), "{done}");
    let left = session.call(&json!({"op": "inspect", "id": "i", "src": "memory://flat/root"}));
    assert_eq!(left["data"]["files"], 5);
}

/// What answers to its name in the other case may be, where a directory folds case, a name that
/// the source has in another spelling. Two names of one file look the same, and stay too.
#[test]
fn what_may_be_another_spelling_stays() {
    let place = scene();
    files(&place.path("dst"), &["old", "d/gone"]);
    std::fs::hard_link(place.path("dst/old"), place.path("dst/OLD")).unwrap();
    let done = mirror(&place, json!({}));
    assert_eq!((&done["status"], &done["data"]["deleted"]), (&json!("ok"), &json!(1)), "{done}");
    assert_eq!(done["warnings_total"], 1, "{done}");
    assert!(place.path("dst/old").exists() && place.path("dst/OLD").exists());
}
