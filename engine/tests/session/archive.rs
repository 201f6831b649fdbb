//! Archives: what goes in comes out, GNU tar agrees, and nobody else's tar leads astray.

use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;
use std::process::Command;

use migration_engine::archive::{Entry, Kind, encode, end_of_archive, padding};
use migration_engine::model::item::Timestamp;
use migration_fixtures::{Aspects, Canary, Options, Tree, compare, large_file};
use serde_json::{Value, json};

use crate::session::{Place, Session, read};

fn tar(place: &Place, arguments: &[&str]) {
    let mut command = Command::new("tar");
    command.args(arguments).current_dir(place.dir.path());
    let told = command.output().unwrap();
    assert!(told.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&told.stderr));
}

fn ok(result: &Value) -> &Value {
    assert_eq!(result["status"], "ok", "{result}");
    &result["data"]
}

fn same(a: &Path, b: &Path) {
    let differences = compare(a, b, &Aspects::default()).unwrap();
    assert!(differences.is_empty(), "{differences:?}");
}

/// A tree with every odd name, a file of several frames and one with three names.
fn build(place: &Place) {
    Tree::plan(&Options::copyable(7)).build(&place.path("src")).unwrap();
    large_file(&place.path("src/large"), 9_000_001, 3).unwrap();
    std::fs::write(place.path("src/one"), "of three names").unwrap();
    std::fs::hard_link(place.path("src/one"), place.path("src/two")).unwrap();
    std::fs::create_dir(place.path("src/aa")).unwrap();
    std::fs::hard_link(place.path("src/one"), place.path("src/aa/three")).unwrap();
}

#[test]
fn a_tree_comes_back_and_gnu_tar_reads_it() {
    let place = Place::new();
    build(&place);
    let mut session = Session::start(&place, &[]);
    for (ending, format, flag) in
        [("tar", "tar", "-x"), ("tar.gz", "tar_gzip", "-xz"), ("tar.zst", "tar_zstd", "--zstd")]
    {
        let (archive, ours, theirs) =
            (format!("a.{ending}"), format!("ours-{format}"), format!("theirs-{format}"));
        let packed = session.call(
            &json!({"op": "compress", "id": "z", "src": "src", "dst": archive, "verify": "decode"}),
        );
        let packed = ok(&packed);
        assert_eq!(packed["format"], format);
        assert_eq!(packed["stored_bytes"], place.path(&archive).metadata().unwrap().len());
        std::fs::create_dir(place.path(&theirs)).unwrap();
        tar(&place, &["-x", flag, "-p", "-f", &archive, "-C", &theirs]);
        same(&place.path("src"), &place.path(&theirs));
        let restored =
            session.call(&json!({"op": "decompress", "id": "u", "src": archive, "dst": ours}));
        let restored = ok(&restored);
        assert_eq!((&restored["format"], &restored["items"]), (&json!(format), &packed["items"]));
        same(&place.path("src"), &place.path(&ours));
        for tree in [&ours, &theirs] {
            let found = place.path(tree).join("one").metadata().unwrap();
            assert_eq!((found.nlink(), found.mode() & 0o7777), (3, 0o644), "{tree}");
        }
    }
    assert_eq!(place.leftovers().len(), 0);
}

fn sh(place: &Place, script: &str) {
    let mut command = Command::new("sh");
    let told = command.args(["-ec", script]).current_dir(place.dir.path()).output().unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
}

#[test]
fn the_mask_of_an_access_list_is_not_the_groups_mode_and_what_is_lost_is_told() {
    let place = Place::new();
    sh(
        &place,
        "
        mkdir -p src/dir
        echo listed >src/aa; ln src/aa src/name; echo plain >src/zz; mkfifo src/pipe
        chmod 644 src/aa src/zz src/pipe; chmod 755 src src/dir
        setfacl -m u:1000:rwx src/aa src/pipe
        setfacl -m u:1000:rwx,g::--x src/dir
        setfacl -d -m u:1000:rwx src/dir
        setfattr -n user.one -v 1 src/zz
        ",
    );
    let mut session = Session::start(&place, &[]);
    let mode = |name: &str| place.path(name).metadata().unwrap().mode() & 0o7777;
    assert_eq!((mode("src/aa"), mode("src/dir")), (0o674, 0o775));
    for ending in ["tar", "tar.gz", "tar.zst"] {
        let (archive, out) = (format!("a.{ending}"), format!("out-{ending}"));
        let packed =
            session.call(&json!({"op": "compress", "id": "z", "src": "src", "dst": archive}));
        let lost = json!([{"what": "xattrs", "items": 1}, {"what": "acls", "items": 3}]);
        assert_eq!(ok(&packed)["lost"], lost, "{packed}");
        assert_eq!(packed["warnings_total"], 2, "{packed}");
        let restore = json!({
            "op": "decompress", "id": "u", "src": archive, "dst": out, "exclude": ["aa"],
        });
        ok(&session.call(&restore));
        let found = ["name", "dir", "pipe", "zz"].map(|name| mode(&format!("{out}/{name}")));
        assert_eq!(
            found.map(|mode| format!("{mode:o}")),
            ["644", "715", "644", "644"],
            "{archive}"
        );
    }
    for (op, src, dst) in [("compress", "src/aa", "aa.gz"), ("decompress", "listed.gz", "aa")] {
        sh(&place, "test ! -f aa.gz || { cp aa.gz listed.gz; setfacl -m u:1000:rwx listed.gz; }");
        ok(&session.call(&json!({"op": op, "id": "f", "src": src, "dst": dst})));
        assert_eq!(mode(dst), 0o644, "{op}");
    }
}

/// Bytes that are not read are not charged: at this rate, reading the holes would take minutes.
#[test]
fn holes_are_not_read() {
    let place = Place::new();
    std::fs::create_dir(place.path("src")).unwrap();
    let sparse = std::fs::File::create(place.path("src/sparse")).unwrap();
    sparse.set_len(200 << 20).unwrap();
    for at in [0, (50 << 20) + 4096, (200 << 20) - 4096] {
        std::os::unix::fs::FileExt::write_all_at(&sparse, &[b'x'; 4096], at).unwrap();
    }
    let mut session = Session::start(&place, &[]);
    let begun = std::time::Instant::now();
    for (src, dst) in
        [("src", "a.tar"), ("src", "a.tar.zst"), ("src/sparse", "a.gz"), ("src/sparse", "a.br")]
    {
        let packed = session.call(&json!({
            "op": "compress", "id": "z", "src": src, "dst": dst,
            "limits": {"bytes_per_s": "1MB"},
        }));
        assert_eq!(ok(&packed)["original_bytes"], 200 << 20, "{packed}");
        assert!(begun.elapsed().as_secs() < 100, "{dst}");
        let restored = session.call(&json!({
            "op": "decompress", "id": "u", "src": dst, "dst": "out", "max_ratio": 1_000_000,
        }));
        ok(&restored);
        let out = if src == "src" { "out/sparse" } else { "out" };
        assert!(read(&place.path(out)) == read(&place.path("src/sparse")), "{dst}");
        sh(&place, "rm -r out");
    }
}

#[test]
fn archives_of_others_are_restored() {
    let place = Place::new();
    build(&place);
    let mut session = Session::start(&place, &[]);
    let forms = [["--format=posix", "--no-same-owner"], ["--format=gnu", "--no-same-owner"]];
    for (n, form) in forms.into_iter().enumerate() {
        for (ending, how) in
            [("tar", "--no-auto-compress"), ("tar.gz", "-z"), ("tar.zst", "--zstd")]
        {
            let (archive, dst) = (format!("t{n}.{ending}"), format!("out-{n}-{ending}"));
            tar(&place, &["-c", how, form[0], "-f", &archive, "-C", "src", "."]);
            let result =
                session.call(&json!({"op": "decompress", "id": "u", "src": archive, "dst": dst}));
            ok(&result);
            // GNU's own form has no nanoseconds.
            let aspects = Aspects { mtime: n == 0, ..Aspects::default() };
            let found = compare(&place.path("src"), &place.path(&dst), &aspects).unwrap();
            assert!(found.is_empty(), "{archive}: {found:?}");
            assert_eq!(place.path(&dst).join("one").metadata().unwrap().nlink(), 3, "{archive}");
        }
    }
    tar(&place, &["-c", "-z", "-f", "unnamed", "-C", "src", "large"]);
    let result =
        session.call(&json!({"op": "decompress", "id": "n", "src": "unnamed", "dst": "n"}));
    assert_eq!(ok(&result)["format"], "tar_gzip");
    assert_eq!(read(&place.path("n/large")), read(&place.path("src/large")));
    let gunzip =
        json!({"op": "decompress", "id": "g", "src": "unnamed", "dst": "g", "format": "gzip"});
    assert_eq!(ok(&session.call(&gunzip))["format"], "gzip");
}

#[test]
fn globs_choose_and_what_stands_there_is_judged() {
    let place = Place::new();
    for name in ["src/a/one.csv", "src/a/two.txt", "src/b/three.csv"] {
        let path = place.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, name).unwrap();
    }
    let mut session = Session::start(&place, &[]);
    let packed = session.call(&json!({
        "op": "compress", "id": "z", "src": "src", "dst": "csv.tar.zst", "include": ["*.csv"],
    }));
    assert_eq!(ok(&packed)["items"], 2);
    ok(&session.call(&json!({"op": "compress", "id": "y", "src": "src", "dst": "all.tar.zst"})));
    ok(&session.call(&json!({"op": "decompress", "id": "u", "src": "csv.tar.zst", "dst": "out"})));
    assert!(!place.path("out/a/two.txt").exists() && place.path("out/b/three.csv").exists());
    std::fs::write(place.path("out/a/one.csv"), "mine").unwrap();
    let failed = session.call(&json!({
        "op": "decompress", "id": "f", "src": "all.tar.zst", "dst": "out", "exclude": ["b"],
    }));
    assert_eq!((&failed["status"], &failed["failures_total"]), (&json!("partial"), &json!(1)));
    assert_eq!(failed["failures"][0]["code"], "DST_EXISTS");
    assert_eq!(read(&place.path("out/a/one.csv")), b"mine");
    assert_eq!(read(&place.path("out/a/two.txt")), b"src/a/two.txt");
    let skipped = session.call(&json!({
        "op": "decompress", "id": "s", "src": "all.tar.zst", "dst": "out", "on_exists": "replace",
    }));
    ok(&skipped);
    assert_eq!(read(&place.path("out/a/one.csv")), b"src/a/one.csv");
    let single = session
        .call(&json!({"op": "compress", "id": "1", "src": "src/a/one.csv", "dst": "one.tar"}));
    ok(&single);
    ok(&session.call(&json!({"op": "decompress", "id": "2", "src": "one.tar", "dst": "alone"})));
    assert_eq!(read(&place.path("alone/one.csv")), b"src/a/one.csv");
    let refused = session
        .call(&json!({"op": "compress", "id": "r", "src": "src", "dst": "x", "format": "lz4"}));
    assert_eq!(refused["error"]["at"]["field"], "format");
    let inside =
        session.call(&json!({"op": "compress", "id": "i", "src": "src", "dst": "src/x.tar"}));
    assert_eq!(inside["error"]["code"], "OVERLAP");
}

fn member(path: &str, kind: Kind, content: &[u8]) -> Vec<u8> {
    let entry = Entry {
        path: path.as_bytes().to_vec(),
        kind,
        size: content.len() as u64,
        mode: 0o6755,
        uid: 0,
        gid: 0,
        mtime: Timestamp::new(1_000_000_000, 0),
    };
    let zeros = vec![0; padding(content.len() as u64)];
    [&encode(&entry)[..], content, &zeros].concat()
}

#[test]
fn hostile_members_lead_nowhere() {
    let place = Place::new();
    let canary = Canary::plant(&place.path("outside")).unwrap();
    let outside = canary.root().to_str().unwrap().to_owned();
    let hostile = [
        member("../outside/new", Kind::File, b"x"),
        member("a/../../outside/new", Kind::File, b"x"),
        member(&format!("{outside}/new"), Kind::File, b"x"),
        member("..", Kind::Directory, b""),
        member("device", Kind::Characters(0x103), b""),
        member("ghost", Kind::Hard(format!("{outside}/marker").into_bytes()), b""),
        member("ghost2", Kind::Hard(b"../outside/marker".to_vec()), b""),
        member("a//b", Kind::File, b"x"),
    ];
    let fine = [
        member("link", Kind::Symlink(outside.clone().into_bytes()), b""),
        member("fine", Kind::File, b"fine"),
    ];
    let through = [member("link/new", Kind::File, b"x"), member("link", Kind::Directory, b"")];
    let all = [&hostile[..], &fine, &through].concat().concat();
    std::fs::write(place.path("bad.tar"), [&all[..], &end_of_archive()].concat()).unwrap();
    let gz = Command::new("gzip").args(["-k", "bad.tar"]).current_dir(place.dir.path()).status();
    assert!(gz.unwrap().success());
    let mut session = Session::start(&place, &[]);
    for (n, archive) in ["bad.tar", "bad.tar.gz"].into_iter().enumerate() {
        let dst = format!("out{n}");
        std::fs::create_dir(place.path(&dst)).unwrap();
        symlink(&outside, place.path(&dst).join("there")).unwrap();
        let result = session.call(&json!({
            "op": "decompress", "id": "u", "src": archive, "dst": dst, "on_exists": "replace",
        }));
        assert_eq!(result["status"], "partial", "{result}");
        assert!(result["failures_total"].as_u64().unwrap() >= hostile.len() as u64, "{result}");
        assert_eq!(read(&place.path(&dst).join("fine")), b"fine");
        assert_eq!(place.path(&dst).join("fine").metadata().unwrap().mode() & 0o7777, 0o755);
        assert!(canary.changed().unwrap().is_empty(), "{result}");
        assert_eq!(place.leftovers().len(), 0);
    }
}

#[test]
fn damage_never_becomes_content() {
    let place = Place::new();
    std::fs::create_dir(place.path("src")).unwrap();
    large_file(&place.path("src/large"), 5_000_000, 3).unwrap();
    std::fs::write(place.path("src/small"), "hello ".repeat(50)).unwrap();
    let mut session = Session::start(&place, &[]);
    for archive in ["a.tar.zst", "a.tar.gz"] {
        ok(&session.call(&json!({"op": "compress", "id": "z", "src": "src", "dst": archive})));
        let whole = read(&place.path(archive));
        let middle = whole.len() / 2;
        for at in [
            9,
            300,
            400,
            middle,
            whole.len() - 400,
            whole.len() - 120,
            whole.len() - 40,
            whole.len() - 12,
        ] {
            let mut bytes = whole.clone();
            bytes[at] ^= 4;
            std::fs::write(place.path(&format!("bad-{archive}")), &bytes).unwrap();
            let dst = format!("out-{archive}-{at}");
            session.call(
                &json!({"op": "decompress", "id": "u", "src": format!("bad-{archive}"), "dst": dst}),
            );
            for name in ["large", "small"] {
                let restored = place.path(&dst).join(name);
                if restored.exists() {
                    let same = read(&restored) == read(&place.path("src").join(name));
                    assert!(same, "{archive} {at}: {name}");
                }
            }
        }
        for end in [0, 100, middle, whole.len() - 1] {
            std::fs::write(place.path(&format!("cut-{archive}")), &whole[..end]).unwrap();
            let result = session.call(&json!({
                "op": "decompress", "id": "c", "src": format!("cut-{archive}"), "dst": format!("cut{end}{archive}"),
            }));
            assert_ne!(result["status"], "ok", "{archive} {end}: {result}");
        }
    }
    std::fs::write(place.path("zeros"), vec![0; 64 << 20]).unwrap();
    ok(&session
        .call(&json!({"op": "compress", "id": "b", "src": "zeros", "dst": "zeros.tar.zst"})));
    let bomb = json!({"op": "decompress", "id": "d", "src": "zeros.tar.zst", "dst": "d"});
    assert_eq!(session.call(&bomb)["error"]["code"], "OUTPUT_LIMIT");
    let mut trusted = bomb.clone();
    trusted["max_ratio"] = 1_000_000.into();
    ok(&session.call(&trusted));
}

/// A large file that changes is taken back and read again; one that keeps changing is left out.
#[test]
fn a_source_that_changes_is_read_again() {
    for ending in ["tar", "tar.gz", "tar.zst"] {
        let place = Place::new();
        std::fs::create_dir_all(place.path("src/z")).unwrap();
        large_file(&place.path("src/a-log"), 6 << 20, 3).unwrap();
        std::fs::write(place.path("src/z/after"), "after").unwrap();
        let mut session = Session::start(&place, &["--progress-ms", "50"]);
        let archive = format!("a.{ending}");
        session.send(&json!({
            "op": "compress", "id": "z", "src": "src", "dst": archive,
            "limits": {"bytes_per_s": "12MB"},
        }));
        session.until(|line| line["type"] == "progress" && line["bytes_done"].as_u64() > Some(0));
        large_file(&place.path("src/a-log"), 5 << 20, 4).unwrap();
        let result = session.result("z");
        ok(&result);
        assert!(result["metrics"]["retries"].as_u64() >= Some(1), "{result}");
        ok(&session.call(&json!({"op": "decompress", "id": "u", "src": archive, "dst": "out"})));
        same(&place.path("src"), &place.path("out"));
        std::fs::create_dir(place.path("theirs")).unwrap();
        tar(&place, &["-x", "-p", "-f", &archive, "-C", "theirs"]);
        same(&place.path("src"), &place.path("theirs"));
    }
}

#[test]
fn fifos_are_kept_and_sockets_are_named() {
    let place = Place::new();
    std::fs::create_dir(place.path("src")).unwrap();
    let path = place.path("src/fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o640.into(), 0)
        .unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(place.path("src/socket")).unwrap();
    let mut session = Session::start(&place, &[]);
    let packed = session.call(&json!({"op": "compress", "id": "z", "src": "src", "dst": "a.tar"}));
    assert_eq!((&packed["status"], &packed["failures_total"]), (&json!("partial"), &json!(1)));
    assert_eq!(packed["failures"][0]["code"], "SRC_SPECIAL");
    ok(&session.call(&json!({"op": "decompress", "id": "u", "src": "a.tar", "dst": "out"})));
    use std::os::unix::fs::FileTypeExt as _;
    assert!(place.path("out/fifo").symlink_metadata().unwrap().file_type().is_fifo());
}

#[test]
fn little_memory_is_enough() {
    let place = Place::new();
    build(&place);
    let mut session = Session::start(&place, &["--memory-cap", "64MiB"]);
    for ending in ["tar.gz", "tar.zst"] {
        let (archive, out) = (format!("a.{ending}"), format!("out.{ending}"));
        ok(&session.call(
            &json!({"op": "compress", "id": "z", "src": "src", "dst": archive, "threads": 16}),
        ));
        ok(&session.call(
            &json!({"op": "decompress", "id": "u", "src": archive, "dst": out, "threads": 16}),
        ));
        same(&place.path("src"), &place.path(&out));
    }
    assert!(session.memory("VmHWM:") <= 64 << 20, "{}", session.memory("VmHWM:"));
}

#[test]
fn killed_at_many_moments_the_archive_is_whole_or_absent() {
    let place = Place::new();
    build(&place);
    for round in 0..6u64 {
        let mut session = Session::start(&place, &[]);
        let dst = format!("a{round}.tar.zst");
        session.send(&json!({"op": "compress", "id": "c", "src": "src", "dst": dst}));
        session.until(|line| line["type"] == "state");
        std::thread::sleep(std::time::Duration::from_millis(5 + 60 * round));
        session.kill();
        if place.path(&dst).exists() {
            let out = format!("out{round}");
            std::fs::create_dir(place.path(&out)).unwrap();
            tar(&place, &["--zstd", "-x", "-p", "-f", &dst, "-C", &out]);
            same(&place.path("src"), &place.path(&out));
        }
        let mut session = Session::start(&place, &[]);
        session.call(&json!({"op": "cleanup", "id": "u"}));
        assert_eq!(place.leftovers().len(), 0);
    }
}

/// Many names of files that lie far back in the archive: their table goes to disk.
#[test]
fn names_of_files_far_back_stay_names_of_one_file() {
    let place = Place::new();
    let deep = ["d".repeat(230).as_str(); 16].join("/");
    let (first, second) = (place.path("src/1").join(&deep), place.path("src/2").join(&deep));
    std::fs::create_dir_all(&first).unwrap();
    std::fs::create_dir_all(&second).unwrap();
    // Names of some 3700 bytes: the table holds 5 MiB in memory.
    let count = 1800;
    for n in 0..count {
        std::fs::write(first.join(n.to_string()), n.to_string()).unwrap();
        std::fs::hard_link(first.join(n.to_string()), second.join(n.to_string())).unwrap();
    }
    let mut session = Session::start(&place, &[]);
    ok(&session.call(&json!({"op": "compress", "id": "z", "src": "src", "dst": "a.tar"})));
    let listed = Command::new("tar").args(["-tvf"]).arg(place.path("a.tar")).output().unwrap();
    assert!(listed.status.success(), "{listed:?}");
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert_eq!(listed.lines().filter(|line| line.starts_with('h')).count(), count);
    ok(&session.call(&json!({"op": "decompress", "id": "u", "src": "a.tar", "dst": "out"})));
    same(&place.path("src"), &place.path("out"));
}

/// An archive that lacks items is told as such, also when its key comes again, and gives way to no
/// better one.
#[test]
fn an_archive_without_all_its_items_is_neither_done_nor_in_place_of_another() {
    let place = Place::new();
    std::fs::create_dir(place.path("src")).unwrap();
    std::fs::write(place.path("src/a"), "alpha").unwrap();
    let pack = json!({"op": "compress", "id": "z", "src": "src", "dst": "a.tar.zst", "key": "k"});
    let again = json!({"op": "compress", "id": "z", "src": "src", "dst": "a.tar.zst",
        "on_exists": "replace"});
    let socket = std::os::unix::net::UnixListener::bind(place.path("src/socket")).unwrap();
    let mut session = Session::start(&place, &[]);
    for _ in 0..2 {
        let done = session.call(&pack);
        assert_eq!((&done["status"], &done["failures_total"]), (&json!("partial"), &json!(1)));
        assert!(place.path("a.tar.zst").exists());
    }
    drop(socket);
    std::fs::remove_file(place.path("src/socket")).unwrap();
    ok(&session.call(&pack));
    let whole = std::fs::read(place.path("a.tar.zst")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(place.path("src/socket")).unwrap();
    let refused = session.call(&again);
    assert_eq!(
        (&refused["status"], &refused["error"]["code"]),
        (&json!("failed"), &json!("DST_EXISTS"))
    );
    assert_eq!(refused["failures"][0]["code"], "SRC_SPECIAL", "{refused}");
    assert!(std::fs::read(place.path("a.tar.zst")).unwrap() == whole);
    assert_eq!(place.leftovers().len(), 0);
}
