//! A source that is its own destination, by whatever name: it stays as it is.

use migration_fixtures::{Mounted, large_file};
use serde_json::json;

use crate::session::{Place, Session, read};
use crate::{copy, run};

#[test]
fn a_file_copied_onto_itself_stays() {
    let place = Place::new();
    large_file(&place.path("a"), 3 << 20, 1).unwrap();
    let content = read(&place.path("a"));
    std::fs::hard_link(place.path("a"), place.path("twin")).unwrap();
    std::os::unix::fs::symlink("a", place.path("link")).unwrap();
    let mut session = Session::start(&place, &[]);
    for on_exists in ["fail", "skip", "update", "replace"] {
        for (src, dst) in [("a", "a"), ("a", "./a"), ("a", "twin"), ("twin", "a"), ("a", "link")] {
            copy(&mut session, src, dst, &json!({"on_exists": on_exists}));
            for name in ["a", "twin"] {
                assert!(read(&place.path(name)) == content, "{src} to {dst}: {on_exists}");
            }
        }
    }
    assert_eq!(place.leftovers().len(), 0);
}

#[test]
fn a_tree_of_hard_links_to_its_source_stays() {
    let place = Place::new();
    std::fs::create_dir_all(place.path("src/d")).unwrap();
    for name in ["f", "d/g"] {
        large_file(&place.path("src").join(name), 2 << 20, 5).unwrap();
    }
    run(&place, "cp", &["-al", "src", "linked"]);
    let content = read(&place.path("src/f"));
    let mut session = Session::start(&place, &[]);
    for on_exists in ["update", "replace"] {
        let result = copy(&mut session, "src", "linked", &json!({"on_exists": on_exists}));
        assert_eq!(result["status"], "ok", "{result}");
        for name in ["src/f", "linked/f", "linked/d/g"] {
            assert!(read(&place.path(name)) == content, "{name}: {on_exists}");
        }
    }
}

/// The same directory under two names: only the numbers of its inodes tell. Mounting needs root.
#[test]
fn a_bind_mount_of_the_source_is_the_source() {
    let place = Place::new();
    std::fs::create_dir_all(place.path("src/d")).unwrap();
    std::fs::create_dir(place.path("bound")).unwrap();
    large_file(&place.path("src/f"), 2 << 20, 5).unwrap();
    let content = read(&place.path("src/f"));
    let mounted = Mounted::bound(&place.path("bound"), &place.path("src"));
    let mut session = Session::start(&place, &[]);
    for (src, dst) in [("src", "bound"), ("bound", "src"), ("src", "bound/d/new")] {
        let result = copy(&mut session, src, dst, &json!({"on_exists": "replace"}));
        assert_eq!(result["error"]["code"], "OVERLAP", "{src} to {dst}: {result}");
    }
    let file = copy(&mut session, "src/f", "bound/f", &json!({"on_exists": "replace"}));
    assert!(read(&place.path("src/f")) == content, "{file}");
    assert_eq!(std::fs::read_dir(place.path("src/d")).unwrap().count(), 0);
    drop(mounted);
    assert!(read(&place.path("src/f")) == content);
}
