//! A lease on a directory: one committer at a time, whatever is stopped, killed or racing.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "tests make and judge the files they use"
)]

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use migration_engine::endpoint::contract::LeaseCell;
use migration_engine::endpoint::scheme;
use migration_engine::error::{Kind, Result};
use migration_engine::model::lease::{Holder, LeaseRecord};
use migration_engine::model::location::Location;
use migration_engine::pipeline::lease::{Lease, Timings, Wish};
use migration_engine::platform::host;
use migration_engine::resource::cancel::Switch;

/// Where a holder that is a process of its own works; it tells the child from the test.
const CHILD: &str = "MIGRATION_TEST_LEASE_HOLDER";

const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

const SHORT: Timings = Timings {
    ttl: millis(900),
    renew_every: millis(100),
    stop_after: millis(600),
    wait: (millis(5), millis(50)),
};

/// Of one who is not to stop by itself, however slow the machine.
const LONG: Timings = Timings { stop_after: millis(600_000), ..SHORT };

fn cell(dir: &Path) -> Box<dyn LeaseCell> {
    let root = Location::parse(dir.as_os_str().as_encoded_bytes(), Vec::new()).unwrap();
    let sink =
        (scheme(&root).unwrap().sink)(&root, &migration_engine::remote::ties::Ties::default())
            .unwrap();
    sink.lease(&sink.root_directory().unwrap()).unwrap()
}

/// A process that cannot be looked up from here.
fn elsewhere() -> Holder {
    Holder { host: "elsewhere".to_owned(), boot_id: "another".to_owned(), ..host::myself() }
}

fn take(dir: &Path, holder: Holder, patience: Option<Duration>) -> Result<Lease> {
    take_for(dir, holder, SHORT, patience)
}

fn take_for(
    dir: &Path,
    holder: Holder,
    timings: Timings,
    patience: Option<Duration>,
) -> Result<Lease> {
    let switch = Switch::default();
    Wish { job: "0123456789abcdef", holder, timings, patience, switch: &switch }.take(cell(dir))
}

fn record(dir: &Path) -> Option<LeaseRecord> {
    std::fs::read(dir.join(".mig-lease")).ok().and_then(|bytes| LeaseRecord::decode(&bytes))
}

#[test]
fn of_many_who_want_it_one_has_it_and_gives_it_back() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..20 {
        let taken: Vec<_> = std::thread::scope(|scope| {
            let want = || scope.spawn(|| take(dir.path(), host::myself(), None));
            let threads: Vec<_> = (0..8).map(|_| want()).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(taken.iter().filter(|taken| taken.is_ok()).count(), 1);
        let refused = taken.iter().filter_map(|taken| taken.as_ref().err());
        assert!(refused.clone().all(|error| error.kind() == Kind::Locked));
        drop(taken);
        assert!(!dir.path().join(".mig-lease").exists());
    }
}

#[test]
fn those_who_wait_get_it_in_turn() {
    let dir = tempfile::tempdir().unwrap();
    let inside = std::sync::atomic::AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let lease = take(dir.path(), elsewhere(), Some(millis(60_000))).unwrap();
                for _ in 0..10 {
                    let held = lease.commit().unwrap();
                    assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                    std::thread::sleep(millis(2));
                    inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                    drop(held);
                }
            });
        }
    });
}

#[test]
fn a_holder_that_renews_is_never_broken() {
    let dir = tempfile::tempdir().unwrap();
    let lease = take(dir.path(), elsewhere(), None).unwrap();
    let start = Instant::now();
    let refused = take(dir.path(), host::myself(), Some(SHORT.ttl * 3)).err().unwrap();
    assert_eq!(refused.kind(), Kind::Locked);
    assert!(start.elapsed() >= SHORT.ttl * 3);
    assert!(lease.commit().is_ok());
    assert!(record(dir.path()).unwrap().renewed_seq > 5);
}

/// Neither a proof nor patience: nobody breaks it. With patience, the whole time to live is
/// watched, and the number goes up.
#[test]
fn a_record_that_nobody_renews_is_broken_after_its_whole_time_to_live() {
    let dir = tempfile::tempdir().unwrap();
    let left = LeaseRecord {
        job: "f".repeat(16),
        nonce: "n".to_owned(),
        epoch: 41,
        holder: elsewhere(),
        renewed_seq: 7,
        ttl_ms: 1500,
    };
    assert!(cell(dir.path()).swap(None, Some(&left.encode())).unwrap());
    assert_eq!(take(dir.path(), host::myself(), None).err().unwrap().kind(), Kind::Locked);
    let start = Instant::now();
    let lease = take(dir.path(), host::myself(), Some(millis(60_000))).unwrap();
    assert!(start.elapsed() >= millis(1500), "its own time to live counts, not the breaker's");
    assert_eq!((lease.epoch(), record(dir.path()).unwrap().epoch), (42, 42));
}

#[test]
fn a_torn_record_is_watched_like_any_other() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(".mig-lease"), "{torn").unwrap();
    assert_eq!(take(dir.path(), host::myself(), None).err().unwrap().kind(), Kind::Locked);
    assert!(take(dir.path(), host::myself(), Some(millis(60_000))).is_ok());
}

#[test]
fn a_lease_that_was_removed_or_replaced_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let lease = take(dir.path(), host::myself(), None).unwrap();
    assert!(lease.commit().is_ok());
    std::fs::remove_file(dir.path().join(".mig-lease")).unwrap();
    assert_eq!(lease.commit().err().unwrap().kind(), Kind::LeaseLost);
    let next = take(dir.path(), host::myself(), None).unwrap();
    assert_eq!(lease.commit().err().unwrap().kind(), Kind::LeaseLost);
    drop(lease);
    assert!(next.commit().is_ok(), "the end of a lost lease took another's");
}

/// A renewal that never comes: its holder stops by itself, before anybody may break it.
#[test]
fn a_holder_that_cannot_renew_stops_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let timings = Timings { renew_every: millis(600_000), ..SHORT };
    let switch = Switch::default();
    let wish = Wish {
        job: "0123456789abcdef",
        holder: elsewhere(),
        timings,
        patience: None,
        switch: &switch,
    };
    let start = Instant::now();
    let lease = wish.take(cell(dir.path())).unwrap();
    while lease.commit().is_ok() {
        assert!(start.elapsed() < millis(10_000));
        std::thread::sleep(millis(5));
    }
    assert!(start.elapsed() >= millis(600));
    assert_eq!(lease.commit().err().unwrap().kind(), Kind::LeaseLost);
}

/// Not a test by itself: the process that others stop and kill. It commits until it may no more.
#[test]
fn holder_of_the_tests_below() {
    let Ok(dir) = std::env::var(CHILD) else {
        return;
    };
    let dir = Path::new(&dir);
    let lease = take(dir, host::myself(), None).unwrap();
    let mut log = std::fs::OpenOptions::new().append(true).open(dir.join("log")).unwrap();
    loop {
        match lease.commit() {
            Ok(_held) => log.write_all(format!("{}\n", lease.epoch()).as_bytes()).unwrap(),
            Err(error) => {
                assert_eq!(error.kind(), Kind::LeaseLost);
                std::fs::write(dir.join("lost"), "").unwrap();
                return;
            }
        }
        // Longer than a commit lasts: whoever is stopped is seldom within one.
        std::thread::sleep(millis(10));
    }
}

fn holder(dir: &Path) -> Child {
    std::fs::write(dir.join("log"), "").unwrap();
    let start = || {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "holder_of_the_tests_below"])
            .env(CHILD, dir)
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    };
    let mut child = start();
    while log(dir).is_empty() {
        // On a machine that stood still its time was over before its first commit.
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success());
            std::fs::remove_file(dir.join("lost")).unwrap();
            child = start();
        }
        std::thread::sleep(millis(2));
    }
    child
}

fn log(dir: &Path) -> Vec<u64> {
    let text = std::fs::read_to_string(dir.join("log")).unwrap();
    text.lines().map(|line| line.parse().unwrap()).collect()
}

fn signal(child: &Child, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(child.id() as i32).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

#[test]
fn a_killed_holder_is_known_to_be_dead_at_once() {
    for _ in 0..5 {
        let dir = tempfile::tempdir().unwrap();
        let mut child = holder(dir.path());
        assert_eq!(take(dir.path(), host::myself(), None).err().unwrap().kind(), Kind::Locked);
        // Killed and not waited for: a zombie has ended too.
        signal(&child, rustix::process::Signal::KILL);
        // Without patience nobody's time is waited out.
        let lease = loop {
            match take_for(dir.path(), host::myself(), LONG, None) {
                Ok(lease) => break lease,
                Err(error) => assert_eq!(error.kind(), Kind::Locked),
            }
        };
        assert_eq!(lease.epoch(), 2);
        assert!(lease.commit().is_ok());
        child.wait().unwrap();
    }
}

/// Stopped beyond its time to live and woken again, a holder commits nothing more. One that is
/// stopped within a commit is not broken; when it goes on it stops by itself.
#[test]
fn a_stopped_holder_never_commits_beside_the_next() {
    let (mut broken, mut round) = (0, 0);
    while broken < 4 {
        round += 1;
        let dir = tempfile::tempdir().unwrap();
        let mut child = holder(dir.path());
        std::thread::sleep(millis(3 * round));
        signal(&child, rustix::process::Signal::STOP);
        let taken = take_for(dir.path(), host::myself(), LONG, Some(SHORT.ttl * 2));
        let before = log(dir.path()).len();
        signal(&child, rustix::process::Signal::CONT);
        assert!(child.wait().unwrap().success());
        assert!(dir.path().join("lost").exists());
        match taken {
            Ok(lease) => {
                assert_eq!(lease.epoch(), 2);
                assert_eq!(log(dir.path()).len(), before, "it committed beside the next");
                assert!(lease.commit().is_ok());
                broken += 1;
            }
            Err(error) => {
                assert_eq!(error.kind(), Kind::Locked);
                assert!(log(dir.path()).len() <= before + 1, "it went on after its time");
            }
        }
    }
}
