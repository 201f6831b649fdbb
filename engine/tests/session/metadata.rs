//! What belongs to files beside their bytes: kept exactly as an independent tool keeps it and an
//! independent lister sees it, or named as lost.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use migration_fixtures::Mounted;
use serde_json::{Value, json};

use crate::session::{Place, Session};

const ALL: [&str; 9] =
    ["mode", "times", "owner", "setuid", "xattrs", "acls", "hard_links", "holes", "specials"];
/// A user that owns nothing here.
const NOBODY: u32 = 65534;

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Runs a script in a directory; it must succeed.
fn sh(dir: &Path, script: &str) -> String {
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", script]).current_dir(dir).env("LC_ALL", "C");
    let output = command.env("TZ", "UTC").output().unwrap();
    assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Everything about every entry of a tree, as `find`, `getfattr` and `getfacl` see it.
fn listing(root: &Path) -> String {
    sh(
        root,
        r"
        find . -type d -printf '%P|%y|%m|%U|%G|%T@\n' \
            -o -printf '%P|%y|%m|%U|%G|%T@|%n|%s|%l\n' | sort
        find . \( -type b -o -type c \) -exec stat -c '%n %t:%T' {} + | sort
        find . ! -type d -links +1 -printf '%i %P\n' | sort -k2 |
            awk '{ if (!($1 in first)) first[$1] = $2; print $2, first[$1] }'
        find . -type f -exec cksum {} + | sort
        find . -print0 | sort -z | xargs -0 getfattr -h -d -m - -e hex --
        find . ! -type l -print0 | sort -z | xargs -0 getfacl -n -p --
        ",
    )
}

/// Compares two listings line by line: a whole one is too long to read.
fn assert_same(a: &str, b: &str) {
    let differs = a.lines().zip(b.lines()).find(|(a, b)| a != b);
    assert_eq!(differs.map(|(a, _)| a), differs.map(|(_, b)| b));
    assert_eq!(a.lines().count(), b.lines().count());
}

/// Names over inodes, in directories; every third inode is large enough to be met by two workers.
fn farm(root: &Path, names: usize, inodes: usize) {
    for n in 0..names {
        let dir = root.join(format!("d{}", n * 7 % 23));
        std::fs::create_dir_all(&dir).unwrap();
        let (file, first) = (dir.join(format!("n{n}")), n % inodes);
        if n < inodes {
            let bytes = if n % 3 == 0 { 200_000 } else { n };
            std::fs::write(&file, vec![n as u8; bytes]).unwrap();
        } else {
            let first = root.join(format!("d{}/n{first}", first * 7 % 23));
            std::fs::hard_link(first, &file).unwrap();
        }
    }
}

/// A tree of every kind of inode, with everything that can hang on each.
fn variety(root: &Path) {
    std::fs::create_dir_all(root).unwrap();
    sh(
        root,
        r#"
        mkdir -p plain sticky setgid acl/below old/inside times
        for n in $(seq 20); do echo "$n" >"plain/f$n"; done
        : >plain/empty
        setfattr -n user.one -v 1 plain/f1
        setfattr -n user.empty plain/f2
        setfattr -n user.long -v "$(head -c 1500 /dev/zero | tr '\0' x)" plain/f3
        for n in $(seq 40); do setfattr -n "user.name-$n-of-many-attributes" -v "$n" plain/f4; done
        setfattr -n user.dir -v d plain
        setfattr -n user.root -v r .
        setfacl -m u:4242:rw,g:4343:r,g::- plain/f5
        setfacl -m u:4242:rwx acl
        setfacl -d -m u:4242:rwx,g::r-x,o::- acl/below
        echo below >acl/below/had-the-default
        setfacl -b acl/below/had-the-default
        ln -s f1 plain/link
        ln -s nowhere plain/dangling
        ln plain/link plain/link-again
        mkfifo -m 640 fifo
        ln fifo fifo-again
        setfacl -m u:4242:rw fifo
        chmod 1777 sticky
        chmod 2775 setgid
        chmod 4755 plain/f6
        chmod 2755 plain/f7
        chmod 000 plain/f8
        touch -d '1969-12-31 23:59:59.123456789' times/before
        touch -d '1902-01-01 00:00:00.000000001' times/long-before
        touch -d '2399-12-31 23:59:59.999999999' times/far
        touch -h -d '1969-01-01 00:00:00.5' plain/dangling
        touch -d '2001-02-03 04:05:06.7' fifo old/inside/f
        "#,
    );
    drop(UnixListener::bind(root.join("socket")).unwrap());
    farm(&root.join("farm"), 2000, 300);
    if is_root() {
        // A change of owner takes special bits and capabilities away, so it comes first.
        sh(
            root,
            "
            chown 1234:5678 plain/f6 plain/f9 fifo socket old
            chown -h 1234:5678 plain/dangling
            chmod 4755 plain/f6
            mknod -m 666 null c 1 3
            mknod -m 600 block b 7 200
            for t in plain/f1 old fifo null; do setfattr -n trusted.t -v t $t; done
            setfattr -h -n trusted.l -v l plain/dangling
            setfattr -n security.capability \
                -v 0x0100000200200000000000000000000000000000 plain/f10
            setfattr -n security.other -v o plain/f11
            ",
        );
    }
    // Nothing is as young as its copy: rsync leaves a time that is right to the second.
    sh(
        root,
        "
        find . ! -path './times/*' -newermt '1 hour ago' -exec \\
            touch -h -d '2010-11-12 13:14:15.161718192' {} +
        touch -d '1970-01-01 00:00:00.000000001' old/inside
        touch -d '1955-11-05 06:00:00.25' old
        touch -d '2038-01-19 03:14:08' farm/d3 .
        ",
    );
}

fn copy(place: &Place, fields: Value) -> (Value, Vec<Value>) {
    let mut command = json!({"op": "copy", "id": "c", "src": "src", "dst": "dst"});
    for (name, value) in fields.as_object().unwrap() {
        command[name] = value.clone();
    }
    let mut session = Session::start(place, &[]);
    let result = session.call(&command);
    (result, session.end().1)
}

/// Items that lost each kind of metadata, from the result; and the kinds that were warned of.
fn lost(result: &Value, lines: &[Value]) -> (Vec<(String, u64)>, usize) {
    let list = result["data"]["lost"].as_array().cloned().unwrap_or_default();
    let list = list
        .iter()
        .map(|one| (one["what"].as_str().unwrap().to_owned(), one["items"].as_u64().unwrap()));
    let warned = lines.iter().filter(|line| line["code"] == "METADATA_LOST").count();
    (list.collect(), warned)
}

#[test]
fn everything_is_kept_as_rsync_keeps_it() {
    let place = Place::new();
    variety(&place.path("src"));
    let before = listing(&place.path("src"));
    let manifest = "m.jsonl";
    let (result, _) = copy(&place, json!({"preserve": ALL, "manifest": manifest}));
    assert_eq!((&result["status"], result["data"].get("lost")), (&json!("ok"), None), "{result}");
    assert_same(&before, &listing(&place.path("dst")));
    sh(place.dir.path(), "rsync -aHAX --devices --specials --numeric-ids src/ peer/");
    assert_same(&listing(&place.path("peer")), &listing(&place.path("dst")));
    assert_same(&before, &listing(&place.path("src")));
    let mut session = Session::start(&place, &[]);
    let checked = session
        .call(&json!({"op": "checksum", "id": "k", "src": "dst", "check": place.path(manifest)}));
    assert_eq!(
        (&checked["status"], checked["data"]["check"]["missing"].as_u64()),
        (&json!("ok"), Some(0)),
        "{checked}"
    );
    let again = session.call(&json!({"op": "copy", "id": "u", "src": "src", "dst": "dst",
        "on_exists": "update", "preserve": ALL}));
    assert_eq!((&again["metrics"]["items_ok"], &again["status"]), (&json!(0), &json!("ok")));
    assert_same(&before, &listing(&place.path("dst")));
}

/// Names of one file count once, each is listed with its digest, and are one file again, with as
/// many workers as names.
#[test]
fn names_of_one_file_are_copied_once() {
    let place = Place::new();
    farm(&place.path("src"), 900, 60);
    let fields = json!({"parallel_files": 64, "manifest": "m.jsonl", "durability": "crash"});
    let plan = Session::start(&place, &[]).call(
        &json!({"op": "plan", "id": "p", "command": {"op": "copy", "src": "src", "dst": "dst"}}),
    );
    let (result, _) = copy(&place, fields);
    assert_eq!((&result["status"], &result["metrics"]["items_ok"]), (&json!("ok"), &json!(900)));
    let bytes: u64 = (0..60).map(|n| if n % 3 == 0 { 200_000 } else { n }).sum();
    assert_eq!(
        (&result["metrics"]["bytes"], &plan["data"]["bytes"]),
        (&json!(bytes), &json!(bytes))
    );
    assert_eq!(plan["data"]["losses"], json!([]));
    assert_same(&listing(&place.path("src")), &listing(&place.path("dst")));
    let manifest = std::fs::read_to_string(place.path("m.jsonl")).unwrap();
    assert_eq!(manifest.lines().filter(|line| line.contains("\"crc64nvme\":\"")).count(), 900);
    let (apart, _) = copy(&place, json!({"dst": "apart", "preserve": ["mode", "times"]}));
    assert_eq!(apart["metrics"]["items_ok"], 900);
    assert_eq!(std::fs::metadata(place.path("apart/d0/n0")).unwrap().nlink(), 1);
}

/// What stands equal already counts as the first name; with `update`, names come together.
#[test]
fn names_join_what_stands_already() {
    let place = Place::new();
    std::fs::create_dir(place.path("src")).unwrap();
    sh(&place.path("src"), "echo content >a; ln a b; ln a c; ln a d");
    let inode = |name: &str| std::fs::metadata(place.path("dst").join(name)).unwrap().ino();
    copy(&place, json!({"include": ["a", "b"]}));
    let (first, other) = (inode("a"), place.path("dst/b"));
    std::fs::remove_file(&other).unwrap();
    sh(&place.path("dst"), "cp -p a b");
    let (skip, _) =
        copy(&place, json!({"on_exists": "skip", "exclude": ["d"], "manifest": "m.jsonl"}));
    assert_eq!(
        (&skip["metrics"]["items_ok"], &skip["metrics"]["items_skipped"]),
        (&json!(1), &json!(2))
    );
    assert!(inode("c") == first || inode("c") == inode("b"));
    assert_ne!(inode("b"), first, "skip leaves alone what stands");
    let listed = std::fs::read_to_string(place.path("m.jsonl")).unwrap();
    assert!(listed.contains("crc64nvme") && listed.contains("\"path\":\"c\""), "{listed}");
    let (update, _) = copy(&place, json!({"on_exists": "update"}));
    assert_eq!(update["status"], "ok");
    assert!(["a", "b", "c", "d"].iter().all(|name| inode(name) == inode("a")), "{update}");
    let (settled, _) = copy(&place, json!({"on_exists": "update"}));
    assert_eq!(settled["metrics"]["items_skipped"], 4);
    let (replaced, _) = copy(&place, json!({"on_exists": "replace"}));
    assert_eq!(replaced["metrics"]["items_ok"], 4);
    assert_eq!(std::fs::metadata(place.path("dst/a")).unwrap().nlink(), 4);
    assert_eq!(place.leftovers(), [""; 0].map(PathBuf::from));
}

/// A first name that fails takes no other name with it, and nothing of a stranger is joined.
#[test]
fn names_outlive_a_first_one_that_fails() {
    let place = Place::new();
    farm(&place.path("src"), 200, 20);
    for n in 0..20 {
        let stranger = place.path(&format!("dst/d{}/n{n}", n * 7 % 23));
        std::fs::create_dir_all(stranger.parent().unwrap()).unwrap();
        std::fs::write(stranger, "a stranger's").unwrap();
    }
    let (result, _) = copy(&place, json!({"parallel_files": 16}));
    assert_eq!(
        (&result["failures_total"], &result["metrics"]["items_ok"]),
        (&json!(20), &json!(180))
    );
    for n in 0..200 {
        let (dir, first) = (n * 7 % 23, n % 20);
        let file = place.path(&format!("dst/d{dir}/n{n}"));
        let bytes = std::fs::read(&file).unwrap();
        if n < 20 {
            assert_eq!(bytes, b"a stranger's");
            continue;
        }
        assert_eq!(bytes, std::fs::read(place.path(&format!("src/d{dir}/n{n}"))).unwrap());
        let next = place.path(&format!("dst/d{}/n{}", (first + 20) * 7 % 23, first + 20));
        assert_eq!(file.metadata().unwrap().ino(), next.metadata().unwrap().ino(), "{n}");
    }
}

/// A link that is followed is no name of the file it leads to.
#[test]
fn followed_links_are_files_of_their_own() {
    let place = Place::new();
    std::fs::create_dir(place.path("src")).unwrap();
    sh(&place.path("src"), "echo content >a; ln a b; ln -s a l");
    let (result, _) = copy(&place, json!({"symlinks": "follow"}));
    assert_eq!((&result["status"], &result["metrics"]["bytes"]), (&json!("ok"), &json!(16)));
    let names = sh(&place.path("dst"), "find . -type f -printf '%P %n\n' | sort");
    assert_eq!(names, "a 2\nb 2\nl 1\n");
}

/// Killed again and again, names come together all the same.
#[test]
fn a_killed_copy_joins_its_names_when_it_goes_on() {
    let place = Place::new();
    farm(&place.path("src"), 3000, 500);
    let command = json!({"op": "copy", "id": "c", "src": "src", "dst": "dst", "key": "k",
        "limits": {"ops_per_s": 9000}});
    for round in 0..4u64 {
        let mut session = Session::start(&place, &[]);
        session.send(&command);
        if round % 2 == 0 {
            session.until(|line| line["type"] == "checkpoint" || line["type"] == "result");
        } else {
            session.until(|line| line["type"] == "state");
            std::thread::sleep(std::time::Duration::from_millis(60 * round));
        }
        session.kill();
    }
    let result = Session::start(&place, &[]).call(&command);
    assert_eq!(
        (&result["status"], &result["metrics"]["items_ok"]),
        (&json!("ok"), &json!(3000)),
        "{result}"
    );
    assert_same(&listing(&place.path("src")), &listing(&place.path("dst")));
    assert_eq!(place.leftovers(), [""; 0].map(PathBuf::from));
}

/// What a new entry gets from its directory's default list would let strangers in.
#[test]
fn lists_of_the_destination_do_not_reach_copies() {
    let place = Place::new();
    for dir in ["src/below", "into"] {
        std::fs::create_dir_all(place.path(dir)).unwrap();
    }
    sh(place.dir.path(), "echo 1 >src/f; echo 2 >src/below/f; mkfifo src/p; chmod 664 src/f");
    sh(place.dir.path(), "setfacl -d -m u:4242:rwx,g:4343:rwx into");
    let default = ["mode", "times", "holes", "hard_links", "xattrs", "acls"];
    for (n, preserve) in [json!(default), json!(["mode", "times"]), json!(ALL)].iter().enumerate() {
        let dst = format!("into/{n}");
        copy(
            &place,
            json!({"dst": dst, "preserve": preserve, "exclude": if n < 2 { vec!["p"] } else { vec![] }}),
        );
        let acls = "find . ! -type l ! -name p -print0 | sort -z | xargs -0 getfacl -n -p --";
        assert_eq!(sh(&place.path(&dst), acls), sh(&place.path("src"), acls), "{preserve}");
    }
    assert_eq!(sh(&place.path("into/2"), "getfacl -n p"), sh(&place.path("src"), "getfacl -n p"));
}

/// The group's bits of a mode are the mask of its list: without the list they say too much.
#[test]
fn a_mode_without_its_list_opens_nothing() {
    let place = Place::new();
    std::fs::write(place.path("src"), "secret").unwrap();
    sh(place.dir.path(), "chmod 600 src; setfacl -m u:4242:rw,g::- src");
    let mode = |name: &str| std::fs::metadata(place.path(name)).unwrap().mode() & 0o777;
    assert_eq!(mode("src"), 0o660);
    copy(&place, json!({"preserve": ["mode", "times"]}));
    assert_eq!(mode("dst"), 0o600);
    copy(&place, json!({"dst": "with", "preserve": ["acls"]}));
    assert_eq!(mode("with"), 0o660);
    assert!(sh(place.dir.path(), "getfacl -n with").contains("user:4242:rw-"));
}

/// Rights that a program gives to whoever starts it are carried over only when that is asked for.
#[test]
fn capabilities_go_with_set_user_id() {
    let place = Place::new();
    std::fs::write(place.path("src"), "program").unwrap();
    sh(place.dir.path(), "chmod 4755 src; setfattr -n user.a -v 1 src");
    if is_root() {
        let capability = "0x0100000200200000000000000000000000000000";
        sh(place.dir.path(), &format!("setfattr -n security.capability -v {capability} src"));
    }
    let names = |file: &str| sh(place.dir.path(), &format!("getfattr -d -m - {file}"));
    let (plain, _) = copy(&place, json!({}));
    copy(&place, json!({"dst": "asked", "preserve": ["setuid", "xattrs"]}));
    assert!(names("dst").contains("user.a") && !names("dst").contains("security.capability"));
    assert_eq!(plain["data"].get("lost"), None, "what nobody asked for is no loss");
    assert_eq!(names("asked").contains("security.capability"), is_root());
    let mode = |name: &str| std::fs::metadata(place.path(name)).unwrap().mode() & 0o7777;
    assert_eq!((mode("dst"), mode("asked")), (0o755, 0o4755));
    if is_root() {
        // Somebody else's program would run with the rights of whoever copied it.
        sh(place.dir.path(), "chown 4242:4242 src; chmod 6755 src");
        let (result, lines) =
            copy(&place, json!({"dst": "theirs", "preserve": ["mode", "setuid"]}));
        assert_eq!(mode("theirs"), 0o755);
        assert_eq!(lost(&result, &lines).0, [("setuid".to_owned(), 1)], "{result}");
        copy(&place, json!({"dst": "given", "preserve": ["mode", "setuid", "owner"]}));
        assert_eq!(mode("given"), 0o6755);
    }
}

/// A tree of which each kind of metadata is lost where there is none.
fn adorned(root: &Path) {
    std::fs::create_dir_all(root.join("d")).unwrap();
    sh(
        root,
        "
        for n in 1 2 3; do echo $n >f$n; setfattr -n user.a -v $n f$n; done
        setfacl -m u:4242:rw f1
        ln f2 again; ln f2 d/again
        ",
    );
}

#[test]
fn what_memory_does_not_hold_is_named_once() {
    let place = Place::new();
    adorned(&place.path("src"));
    let (result, lines) = copy(&place, json!({"dst": "memory://lost/tree"}));
    assert_eq!((&result["status"], &result["metrics"]["items_ok"]), (&json!("ok"), &json!(5)));
    let expected = [("xattrs", 5), ("acls", 1), ("hard_links", 2)];
    let expected = expected.map(|(what, items)| (what.to_owned(), items)).to_vec();
    assert_eq!(lost(&result, &lines), (expected, 3), "{result}");
    let warning = lines.iter().find(|line| line["code"] == "METADATA_LOST").unwrap();
    assert!(warning["message"].as_str().unwrap().contains("the destination does not hold"));
    assert!(warning["at"]["path"].is_string(), "{warning}");
}

#[test]
fn what_a_filesystem_does_not_hold_is_named_once() {
    let place = Place::new();
    adorned(&place.path("src"));
    let _ramfs = Mounted::bare(&place.path("mnt"), "ramfs");
    let (result, lines) = copy(&place, json!({"dst": "mnt/dst"}));
    assert_eq!((&result["status"], &result["metrics"]["items_ok"]), (&json!("ok"), &json!(5)));
    let expected = vec![("xattrs".to_owned(), 3), ("acls".to_owned(), 1)];
    assert_eq!(lost(&result, &lines), (expected, 2), "{result}");
    let mode = std::fs::metadata(place.path("mnt/dst/f1")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644, "the list's mask is not taken for the group's bits");
    assert_eq!(std::fs::metadata(place.path("mnt/dst/f2")).unwrap().nlink(), 3);
}

/// Inodes of 128 bytes end in 2038 and know no part of a second; attributes there have one block.
#[test]
fn values_that_do_not_fit_are_named_too() {
    let place = Place::new();
    std::fs::create_dir(place.path("src")).unwrap();
    sh(&place.path("src"), "echo 1 >f; echo 2 >g; touch -d @4000000000 f; touch -d @1000000000 g");
    let _ext4 = Mounted::image(&place.path("mnt"), "ext4", 16 << 20, &["-I", "128"]);
    let shm = tempfile::tempdir_in("/dev/shm").unwrap();
    let big = shm.path().join("big");
    std::fs::write(&big, "content").unwrap();
    sh(
        shm.path(),
        "setfattr -n user.small -v 1 big; setfattr -n user.big -v $(head -c 30000 /dev/zero | tr '\\0' x) big",
    );
    let (times, lines) = copy(&place, json!({"dst": "mnt/dst", "exclude": []}));
    let counted = lost(&times, &lines);
    assert_eq!((&times["status"], counted.1), (&json!("ok"), 1), "{times}");
    assert!(counted.0.iter().all(|(what, items)| what == "times" && *items >= 1), "{times}");
    let (attributes, lines) = copy(&place, json!({"src": big, "dst": "mnt/big"}));
    let counted = lost(&attributes, &lines);
    assert!(counted.0.contains(&("xattrs".to_owned(), 1)), "{attributes}");
    assert_eq!(std::fs::read(place.path("mnt/big")).unwrap(), b"content");
    assert!(sh(&place.path("mnt"), "getfattr -d big").contains("user.small"));
}

/// Names in two filesystems cannot be one file.
#[test]
fn names_across_filesystems_are_copied_and_told() {
    let place = Place::new();
    std::fs::create_dir_all(place.path("src/b")).unwrap();
    sh(&place.path("src"), "echo content >a; ln a b/a; ln a b/c");
    let _ramfs = Mounted::bare(&place.path("dst/b"), "ramfs");
    let (result, lines) = copy(&place, json!({}));
    assert_eq!(lost(&result, &lines), (vec![("hard_links".to_owned(), 1)], 1), "{result}");
    assert_eq!((&result["status"], &result["metrics"]["bytes"]), (&json!("ok"), &json!(16)));
    for name in ["a", "b/a", "b/c"] {
        assert_eq!(std::fs::read(place.path("dst").join(name)).unwrap(), b"content\n");
    }
}

/// Runs one command as a user without privilege.
fn as_nobody(place: &Place, command: &Value) -> Vec<Value> {
    let program = place.path("engine");
    std::fs::copy(env!("CARGO_BIN_EXE_migration-engine"), &program).unwrap();
    let mut engine = Command::new("timeout");
    engine.arg("60").arg(program);
    if is_root() {
        use std::os::unix::process::CommandExt as _;
        chown(place.dir.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        engine.uid(NOBODY).gid(NOBODY);
    }
    engine.env("HOME", place.dir.path()).env_remove("XDG_CONFIG_HOME");
    engine.args(["serve", "--state-dir"]).arg(place.state()).current_dir(place.dir.path());
    let mut engine = engine.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut engine.stdin.take().unwrap(), command.to_string().as_bytes())
        .unwrap();
    let output = engine.wait_with_output().unwrap().stdout;
    output.split(|b| *b == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
}

/// An owner that cannot be kept is told, and a program of somebody else does not get the rights of
/// whoever copied it.
#[test]
fn an_owner_that_cannot_be_kept_is_told() {
    let place = Place::new();
    let src = if is_root() {
        std::fs::write(place.path("src"), "program").unwrap();
        sh(place.dir.path(), "chmod 4755 src");
        place.path("src")
    } else {
        PathBuf::from("/etc/passwd")
    };
    let lines = as_nobody(
        &place,
        &json!({"op": "copy", "id": "c", "src": src, "dst": "dst", "preserve": ["owner", "setuid"]}),
    );
    let result = lines.last().unwrap();
    let (kinds, warned) = lost(result, &lines);
    assert_eq!(
        (&result["status"], &kinds[0]),
        (&json!("ok"), &("owner".to_owned(), 1)),
        "{lines:?}"
    );
    assert_eq!((warned, kinds.len()), if is_root() { (2, 2) } else { (1, 1) });
    let copied = std::fs::metadata(place.path("dst")).unwrap();
    assert_eq!((copied.len(), copied.mode() & 0o7000), (std::fs::metadata(&src).unwrap().len(), 0));
}

/// A first name that cannot be written holds up no other name of its file.
#[test]
fn a_claim_ends_with_its_item() {
    let place = Place::new();
    for dir in ["src/a", "src/b", "src/c", "dst/a", "dst/b", "dst/c"] {
        std::fs::create_dir_all(place.path(dir)).unwrap();
    }
    sh(
        &place.path("src"),
        "for n in $(seq 50); do echo $n >a/$n; ln a/$n b/$n; ln a/$n c/$n; done",
    );
    sh(&place.path("dst"), "chmod 555 a; chmod 777 . b c");
    let lines = as_nobody(&place, &json!({"op": "copy", "id": "c", "src": "src", "dst": "dst"}));
    let result = lines.last().unwrap();
    let counts = (&result["metrics"]["items_ok"], &result["metrics"]["items_failed"]);
    assert_eq!(
        (counts, &result["failures"][0]["code"]),
        ((&json!(100), &json!(50)), &json!("DST_PERMISSION")),
        "{result}"
    );
    let names = sh(&place.path("dst"), "find . -type f -links 2 | wc -l");
    assert_eq!(names.trim(), "100");
}

/// A device needs privilege; fifos and sockets do not.
#[test]
fn a_device_without_privilege_fails_alone() {
    let place = Place::new();
    std::fs::create_dir(place.path("src")).unwrap();
    sh(&place.path("src"), "mkfifo fifo; touch -d @5 fifo; echo 1 >file");
    drop(UnixListener::bind(place.path("src/socket")).unwrap());
    let mut failed = Vec::new();
    if is_root() {
        sh(&place.path("src"), "mknod null c 1 3");
        failed.push("null");
    }
    let lines = as_nobody(
        &place,
        &json!({"op": "copy", "id": "c", "src": "src", "dst": "dst", "preserve": ["mode", "times", "specials"]}),
    );
    let result = lines.last().unwrap();
    let failures = result["failures"].as_array().cloned().unwrap_or_default();
    let named: Vec<_> = failures.iter().map(|f| f["at"]["path"].as_str().unwrap()).collect();
    assert_eq!((named, &result["metrics"]["items_ok"]), (failed, &json!(3)), "{result}");
    assert!(failures.iter().all(|failure| failure["code"] == "DST_PERMISSION"), "{result}");
    let list = "find . ! -name null ! -type d -printf '%P %y %m %T@\n' | sort";
    assert_eq!(sh(&place.path("src"), list), sh(&place.path("dst"), list));
    assert_eq!(place.leftovers(), [""; 0].map(PathBuf::from));
}

/// Special files are judged like any other item.
#[test]
fn special_files_are_compared_before_they_are_replaced() {
    let place = Place::new();
    std::fs::create_dir(place.path("src")).unwrap();
    sh(&place.path("src"), "mkfifo a b");
    std::fs::create_dir(place.path("dst")).unwrap();
    std::fs::write(place.path("dst/b"), "in the way").unwrap();
    let (fail, _) = copy(&place, json!({"preserve": ["specials"]}));
    assert_eq!(fail["failures"][0]["code"], "DST_EXISTS", "{fail}");
    let (update, _) = copy(&place, json!({"preserve": ["specials"], "on_exists": "update"}));
    assert_eq!(
        (&update["metrics"]["items_ok"], &update["metrics"]["items_skipped"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(sh(&place.path("dst"), "find . -type p | wc -l").trim(), "2");
    let (asked, _) = copy(&place, json!({"dst": "other"}));
    assert_eq!(asked["failures"][0]["code"], "SRC_SPECIAL", "only where it is asked for");
}

/// A plan names what the chosen `preserve` leaves behind, and nothing that it keeps.
#[test]
fn a_plan_names_what_stays_behind() {
    let place = Place::new();
    adorned(&place.path("src"));
    sh(&place.path("src"), "setfattr -n user.d -v 1 d; chmod 4755 f3");
    let mut session = Session::start(&place, &[]);
    let mut losses = |preserve: Value| {
        let command = json!({"op": "copy", "src": "src", "dst": "dst", "preserve": preserve});
        let plan = session.call(&json!({"op": "plan", "id": "p", "command": command}));
        let list = plan["data"]["losses"].as_array().unwrap().clone();
        let list =
            list.iter().map(|one| format!("{} {}", one["what"].as_str().unwrap(), one["items"]));
        (list.collect::<Vec<_>>().join(", "), plan["data"]["bytes"].as_u64().unwrap())
    };
    let plain = "hard_links 3, setuid_bits 1, xattrs 6, acls 1";
    assert_eq!(losses(json!(["mode", "times"])), (plain.to_owned(), 10));
    assert_eq!(losses(json!(ALL)), (String::new(), 6));
    assert_eq!(losses(json!(["xattrs", "hard_links"])), ("setuid_bits 1, acls 1".to_owned(), 6));
}
