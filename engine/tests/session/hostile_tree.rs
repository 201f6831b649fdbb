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

/// Every way of writing a destination that lies in its own source.
#[test]
fn a_destination_inside_its_source_is_refused_however_it_is_written() {
    let place = Place::new();
    std::fs::create_dir_all(place.path("src/d")).unwrap();
    std::fs::write(place.path("src/f"), "x").unwrap();
    symlink("src", place.path("alias")).unwrap();
    let mut session = Session::start(&place, &[]);
    let targets = [
        "src/new",
        "src/d",
        "src",
        "src/d/../new",
        "src/new/../x",
        "alias/new",
        "./src/a/b/c",
        "src/",
        "alias",
        ".",
    ];
    for (n, dst) in targets.iter().enumerate() {
        let id = format!("c{n}");
        let result = session.call(&json!({"op": "copy", "id": id, "src": "src", "dst": dst}));
        let code = result["error"]["code"].as_str().unwrap_or_default();
        let inside = std::fs::read_dir(place.path("src")).unwrap().count();
        assert_eq!(inside, 2, "{dst}: {result}");
        assert!(["OVERLAP", "INVALID_FIELD"].contains(&code) || *dst == "src/", "{dst}: {result}");
    }
}

/// Deeper than any stack that is not made for it.
#[test]
fn a_tree_of_thousands_of_levels_ends_no_process() {
    let place = Place::new();
    let mut dir =
        rustix::fs::open(place.dir.path(), rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty())
            .unwrap();
    for level in 0..3500 {
        let name = if level == 0 { "deep" } else { "a" };
        rustix::fs::mkdirat(&dir, name, rustix::fs::Mode::RWXU).unwrap();
        dir = rustix::fs::openat(&dir, name, rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty())
            .unwrap();
    }
    let mut session = Session::start(&place, &[]);
    let counted = session.call(&json!({"op": "inspect", "id": "i", "src": "deep"}));
    assert_eq!((&counted["status"], &counted["data"]["deepest"]), (&json!("ok"), &json!(3499)));
    let copied = session.call(
        &json!({"op": "copy", "id": "c", "src": "deep", "dst": "copy", "durability": "crash"}),
    );
    assert_eq!(copied["status"], "ok", "{copied}");
    let cleaned = session.call(&json!({"op": "cleanup", "id": "u", "locations": "copy"}));
    assert_eq!(cleaned["status"], "ok", "{cleaned}");
    let equal = session.call(&json!({"op": "verify", "id": "v", "src": "deep", "dst": "copy"}));
    assert_eq!(equal["status"], "ok", "{equal}");
    session.end();
    for name in ["deep", "copy"] {
        std::process::Command::new("rm").arg("-rf").arg(place.path(name)).status().unwrap();
    }
}

#[test]
fn a_manifest_never_replaces_what_it_lists() {
    let place = Place::new();
    std::fs::create_dir(place.path("src")).unwrap();
    std::fs::write(place.path("src/f"), "content").unwrap();
    std::fs::write(place.path("data"), "content").unwrap();
    std::fs::create_dir(place.path("dst")).unwrap();
    let mut session = Session::start(&place, &[]);
    let code = |result: &serde_json::Value| result["error"]["code"].clone();
    let own =
        session.call(&json!({"op": "checksum", "id": "1", "src": "data", "manifest": "data"}));
    assert_eq!(code(&own), "OVERLAP", "{own}");
    for (id, manifest) in [("2", "src/m.jsonl"), ("3", "dst/m.jsonl")] {
        let inside = session.call(
            &json!({"op": "copy", "id": id, "src": "src", "dst": "dst", "manifest": manifest}),
        );
        assert_eq!(code(&inside), "OVERLAP", "{inside}");
    }
    assert_eq!(std::fs::read(place.path("data")).unwrap(), b"content");
    for id in ["4", "5"] {
        let listed = session
            .call(&json!({"op": "checksum", "id": id, "src": "src", "manifest": "src/SHA256SUMS"}));
        assert_eq!(
            (&listed["status"], &listed["metrics"]["items_ok"]),
            (&json!("ok"), &json!(1)),
            "{listed}"
        );
    }
    let checked = std::process::Command::new("sha256sum")
        .args(["-c", "--quiet", "SHA256SUMS"])
        .current_dir(place.path("src"))
        .status()
        .unwrap();
    assert!(checked.success());
    let nowhere = session
        .call(&json!({"op": "checksum", "id": "6", "src": "src", "manifest": "data/below/a/file"}));
    assert_eq!(code(&nowhere), "DST_TYPE", "{nowhere}");
    let made = session
        .call(&json!({"op": "checksum", "id": "7", "src": "src", "manifest": "new/dir/SUMS"}));
    assert_eq!(made["status"], "ok", "{made}");
    assert_eq!(std::fs::read_dir(place.state().join("attempts")).unwrap().count(), 0);
}

#[test]
fn many_copies_merge_into_one_new_tree() {
    let place = Place::new();
    for n in 0..8 {
        std::fs::create_dir_all(place.path(&format!("s{n}/shared/deep"))).unwrap();
        std::fs::write(place.path(&format!("s{n}/shared/deep/f{n}")), "x").unwrap();
    }
    let mut session = Session::start(&place, &["--jobs", "8"]);
    for round in 0..15 {
        let items: Vec<_> = (0..8).map(|n| json!({"op": "copy", "src": format!("s{n}"), "dst": format!("new{round}/out"), "durability": "crash"})).collect();
        let result = session.call(&json!({"op": "batch", "id": round.to_string(), "items": items}));
        assert_eq!(result["status"], "ok", "{:?}", session.seen);
        assert_eq!(
            std::fs::read_dir(place.path(&format!("new{round}/out/shared/deep"))).unwrap().count(),
            8
        );
    }
}

#[test]
fn a_plan_sees_what_stands_in_the_way_of_directories() {
    let place = Place::new();
    std::fs::create_dir_all(place.path("src/d")).unwrap();
    std::fs::write(place.path("src/d/x"), "1").unwrap();
    std::fs::write(place.path("src/y"), "2").unwrap();
    std::fs::create_dir(place.path("dst")).unwrap();
    std::fs::write(place.path("dst/d"), "in the way").unwrap();
    std::fs::write(place.path("file"), "a file").unwrap();
    let mut session = Session::start(&place, &[]);
    session.call(&json!({"op": "hello", "id": "h", "defaults": {"on_exists": "replace"}}));
    let command = json!({"op": "copy", "src": "src", "dst": "dst"});
    let plan = session.call(&json!({"op": "plan", "id": "p", "command": command}));
    assert_eq!((&plan["data"]["new"], &plan["data"]["conflict"]), (&json!(1), &json!(1)), "{plan}");
    let onto = session.call(
        &json!({"op": "plan", "id": "q", "command": {"op": "copy", "src": "src", "dst": "file"}}),
    );
    assert_eq!(onto["error"]["code"], "DST_TYPE", "{onto}");
    let again = json!({"op": "copy", "src": "src/y", "dst": "file"});
    let replaces = session.call(&json!({"op": "plan", "id": "r", "command": again}));
    assert_eq!(replaces["data"]["replace"], 1, "{replaces}");
}

#[test]
fn a_list_without_digests_proves_nothing() {
    let place = Place::new();
    std::fs::create_dir(place.path("src")).unwrap();
    std::fs::write(place.path("src/f"), "content").unwrap();
    let mut session = Session::start(&place, &[]);
    session.call(&json!({"op": "copy", "id": "1", "src": "src", "dst": "dst", "checksum": "none", "manifest": "m.jsonl"}));
    let checked =
        session.call(&json!({"op": "checksum", "id": "2", "src": "dst", "check": "m.jsonl"}));
    assert_eq!(
        (&checked["status"], &checked["error"]["code"]),
        (&json!("failed"), &json!("MANIFEST_INVALID"))
    );
}

/// Files are no wider open than their source, nor than this user's mask.
#[test]
fn permissions_are_never_wider_than_asked() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    std::fs::create_dir(place.path("src")).unwrap();
    std::fs::write(place.path("src/f"), "secret").unwrap();
    for (name, mode) in [("src", 0o700), ("src/f", 0o600)] {
        std::fs::set_permissions(place.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let mut shell = std::process::Command::new("sh");
    let command = json!({"op": "copy", "src": "src", "dst": "dst", "preserve": []});
    let script = format!("umask 077; echo '{command}' | \"$0\" --state-dir .state > /dev/null");
    let status = shell
        .args(["-c", &script, env!("CARGO_BIN_EXE_migration-engine")])
        .current_dir(place.dir.path())
        .status();
    assert!(status.unwrap().success());
    let mode = |name| std::fs::metadata(place.path(name)).unwrap().mode() & 0o777;
    assert_eq!((mode("dst"), mode("dst/f")), (0o700, 0o600));
}

#[test]
fn holes_do_not_ask_for_room() {
    let place = Place::new();
    std::fs::File::create(place.path("sparse")).unwrap().set_len(1 << 20).unwrap();
    let mut session = Session::start(&place, &[]);
    let mut plan = |preserve: &[&str]| {
        let command = json!({"op": "copy", "src": "sparse", "dst": "c", "preserve": preserve});
        session.call(&json!({"op": "plan", "id": "p", "command": command}))["data"]["losses"].take()
    };
    assert_eq!(plan(&["mode"]), json!([{"what": "holes", "items": 1}]));
    assert_eq!(plan(&["mode", "holes"]), json!([]));
    assert_eq!(
        session.call(&json!({"op": "copy", "id": "c", "src": "sparse", "dst": "c"}))["status"],
        "ok"
    );
}
