//! A name that is published in place of another changes places with it, and back where it must.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests make and judge the files they use"
)]

use migration_engine::platform::dir::Facts;
use migration_engine::platform::operator;

/// Somebody replaces what stands there just before the names change places, and once more
/// before they change back: the last one has the name, and nothing of theirs is removed.
#[test]
fn a_swap_that_is_taken_back_loses_nobodys_file() {
    let held = tempfile::tempdir().unwrap();
    let path = |name: &str| held.path().join(name);
    let put = |name: &str, text: &str| {
        std::fs::write(path("new"), text).unwrap();
        std::fs::rename(path("new"), path(name)).unwrap();
    };
    for again in [false, true] {
        let dir = operator::open_dir(held.path().as_os_str().as_encoded_bytes()).unwrap();
        put("to", "seen");
        put("from", "ours");
        let own = dir.facts(b"from").unwrap().identity;
        let looks = std::cell::Cell::new(0);
        let is_seen = |_: &Facts| {
            looks.set(looks.get() + 1);
            if looks.get() == 2 && again {
                put("to", "latest");
            }
            looks.get() == 1
        };
        let is_own = |there: &Facts| there.identity.ino == own.ino;
        assert_eq!(dir.publish_over(b"from", b"to", is_seen, is_own), Ok(false));
        let stands = std::fs::read_to_string(path("to")).unwrap();
        assert_eq!(stands, if again { "latest" } else { "seen" });
        let left = std::fs::read_to_string(path("from")).ok();
        assert_eq!(left.as_deref(), (!again).then_some("ours"));
    }
}
