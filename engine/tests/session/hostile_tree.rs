//! Names, links and kinds made to lead a copier astray.

use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, symlink};

use migration_fixtures::{Aspects, Canary, Options, Tree, compare};
use serde_json::json;

use crate::session::{Place, Session};

/// Everything that can be copied is, exactly; everything that cannot is named; nothing else moves.
#[test]
fn content_is_exact_and_every_failure_is_named() {
    let place = Place::new();
    let canary = Canary::plant(&place.path("outside")).unwrap();
    let tree = Tree::plan(&Options::hostile(11));
    tree.build(&place.path("src")).unwrap();
    symlink(canary.root(), place.path("src/way-out")).unwrap();
    symlink("..", place.path("src/up")).unwrap();
    symlink("loop-b", place.path("src/loop-a")).unwrap();
    symlink("loop-a", place.path("src/loop-b")).unwrap();
    let census = tree.census();
    assert!(census.files >= 300, "{census:?}");
    let mut session = Session::start(&place, &[]);
    let result = session.call(&json!({"op": "copy", "id": "c", "src": "src", "dst": "dst"}));
    assert_eq!(result["status"], "partial", "{result}");
    assert_eq!(result["failures_total"], census.specials, "{result}");
    assert_eq!(result["metrics"]["items_ok"], census.files + census.symlinks + 4);
    let failures = result["failures"].as_array().unwrap();
    assert!(failures.iter().all(|failure| failure["code"] == "SRC_SPECIAL"), "{failures:?}");
    let aspects = Aspects::default();
    let differences = compare(&place.path("src"), &place.path("dst"), &aspects).unwrap();
    assert_eq!(differences.len() as u64, census.specials, "{differences:?}");
    assert_eq!(canary.changed().unwrap(), [""; 0].map(std::path::PathBuf::from));
    assert_eq!(place.leftovers(), [""; 0].map(std::path::PathBuf::from));
    let (code, _) = session.end();
    assert_eq!(code, 3);
}

#[test]
fn many_failures_are_all_in_the_report() {
    let place = Place::new();
    std::fs::create_dir(place.path("src")).unwrap();
    std::fs::write(place.path("src/fine"), "fine").unwrap();
    for n in 0..300 {
        let path = place.path(&format!("src/fifo-{n}"));
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0)
            .unwrap();
    }
    let mut session = Session::start(&place, &[]);
    let result = session.call(&json!({"op": "copy", "id": "c", "src": "src", "dst": "dst"}));
    assert_eq!(
        (result["status"].as_str(), &result["failures_total"]),
        (Some("partial"), &json!(300))
    );
    let report = std::fs::read_to_string(result["report"]["path"].as_str().unwrap()).unwrap();
    let mut named: Vec<String> = report
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|line| line["at"]["path"].as_str().unwrap().to_owned())
        .collect();
    named.sort();
    named.dedup();
    assert_eq!(named.len(), 300);
    assert_eq!(std::fs::read(place.path("dst/fine")).unwrap(), b"fine");
    assert_eq!(session.end().0, 3);
}

/// A link where a directory goes is never written through; a directory where a file goes stays.
#[test]
fn what_stands_in_the_way_is_never_written_through() {
    let place = Place::new();
    let canary = Canary::plant(&place.path("outside")).unwrap();
    for dir in ["src/d", "src/e", "dst/file", "dst"] {
        std::fs::create_dir_all(place.path(dir)).unwrap();
    }
    for file in ["src/d/marker", "src/e/x", "src/file", "src/link"] {
        std::fs::write(place.path(file), "new").unwrap();
    }
    symlink(canary.root(), place.path("dst/d")).unwrap();
    symlink(canary.marker(), place.path("dst/link")).unwrap();
    let mut session = Session::start(&place, &[]);
    let result = session.call(
        &json!({"op": "copy", "id": "c", "src": "src", "dst": "dst", "on_exists": "replace"}),
    );
    assert_eq!(result["status"], "partial", "{result}");
    let mut failed: Vec<_> = result["failures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| (f["at"]["path"].as_str().unwrap(), f["code"].as_str().unwrap()))
        .collect();
    failed.sort_unstable();
    assert_eq!(failed, [("d", "DST_TYPE"), ("file", "DST_TYPE")]);
    assert_eq!(canary.changed().unwrap(), [""; 0].map(std::path::PathBuf::from));
    assert_eq!(std::fs::read(place.path("dst/link")).unwrap(), b"new");
    assert!(std::fs::symlink_metadata(place.path("dst/link")).unwrap().is_file());
    assert_eq!(std::fs::read(place.path("dst/e/x")).unwrap(), b"new");
}

/// Following links copies what lies inside and refuses what leads out, circles or dangles.
#[test]
fn followed_links_stay_inside() {
    let place = Place::new();
    let canary = Canary::plant(&place.path("outside")).unwrap();
    std::fs::create_dir_all(place.path("src/real")).unwrap();
    std::fs::write(place.path("src/real/file"), "content").unwrap();
    symlink("real", place.path("src/inside")).unwrap();
    symlink("real/file", place.path("src/inside-file")).unwrap();
    symlink(canary.marker(), place.path("src/out")).unwrap();
    symlink("../outside", place.path("src/out-dir")).unwrap();
    symlink(".", place.path("src/circle")).unwrap();
    symlink("self", place.path("src/self")).unwrap();
    symlink("nothing", place.path("src/dangling")).unwrap();
    let mut session = Session::start(&place, &[]);
    let result = session
        .call(&json!({"op": "copy", "id": "c", "src": "src", "dst": "dst", "symlinks": "follow"}));
    let mut failed: Vec<_> = result["failures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| (f["at"]["path"].as_str().unwrap(), f["code"].as_str().unwrap()))
        .collect();
    failed.sort_unstable();
    let names = ["circle", "dangling", "out", "out-dir", "self"];
    assert_eq!(failed, names.map(|name| (name, "SRC_LINK")));
    for file in ["dst/inside/file", "dst/inside-file", "dst/real/file"] {
        assert!(std::fs::symlink_metadata(place.path(file)).unwrap().is_file(), "{file}");
        assert_eq!(std::fs::read(place.path(file)).unwrap(), b"content");
    }
    assert_eq!(std::fs::read_dir(place.path("dst")).unwrap().count(), 3);
}

/// A fifo would hold its opener for ever; its reading end would tell.
#[test]
fn special_files_are_never_opened() {
    let place = Place::new();
    std::fs::create_dir(place.path("src")).unwrap();
    let fifo = place.path("src/fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0)
        .unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(place.path("src/socket")).unwrap();
    let mut session = Session::start(&place, &[]);
    for (id, op) in [("a", json!({"op": "copy", "dst": "dst"})), ("b", json!({"op": "checksum"}))] {
        let mut command = op;
        command["id"] = id.into();
        command["src"] = "src".into();
        let result = session.call(&command);
        assert_eq!(
            (&result["status"], &result["failures_total"]),
            (&json!("failed"), &json!(2)),
            "{result}"
        );
    }
    assert!(std::fs::symlink_metadata(&fifo).unwrap().file_type().is_fifo());
}

#[test]
fn set_user_id_is_stripped_unless_asked() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    std::fs::write(place.path("a"), "x").unwrap();
    std::fs::set_permissions(place.path("a"), std::fs::Permissions::from_mode(0o6755)).unwrap();
    let mut session = Session::start(&place, &[]);
    session.call(&json!({"op": "copy", "id": "1", "src": "a", "dst": "plain"}));
    session.call(
        &json!({"op": "copy", "id": "2", "src": "a", "dst": "asked", "preserve": ["setuid"]}),
    );
    let mode = |name| std::fs::metadata(place.path(name)).unwrap().mode() & 0o7777;
    assert_eq!((mode("plain"), mode("asked")), (0o755, 0o6755));
}

/// Reading leaves no trace: not even the time of last access.
#[test]
fn the_source_is_never_modified() {
    let place = Place::new();
    Tree::plan(&Options::copyable(5)).build(&place.path("src")).unwrap();
    let all = |root: &std::path::Path| {
        let mut open = vec![root.to_owned()];
        let mut seen = Vec::new();
        while let Some(path) = open.pop() {
            let facts = std::fs::symlink_metadata(&path).unwrap();
            if facts.is_dir() {
                open.extend(std::fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
            }
            let atime = if facts.is_file() { facts.atime_nsec() } else { 0 };
            let name = path.as_os_str().as_bytes().to_vec();
            seen.push((name, facts.ctime(), facts.ctime_nsec(), atime, facts.len()));
        }
        seen.sort();
        seen
    };
    let before = all(&place.path("src"));
    let mut session = Session::start(&place, &[]);
    let copied = session.call(&json!({"op": "copy", "id": "1", "src": "src", "dst": "dst"}));
    assert_eq!(copied["status"], "ok", "{copied}");
    let equal = session.call(&json!({"op": "verify", "id": "2", "src": "src", "dst": "dst"}));
    assert_eq!(equal["status"], "ok", "{equal}");
    assert_eq!(before, all(&place.path("src")));
}
