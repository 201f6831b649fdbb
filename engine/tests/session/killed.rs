//! Death by kill -9 at any moment: old or new content under every name, and what is left over is
//! found and removed.

use std::time::Duration;

use migration_fixtures::{Sizes, SmallFiles, large_file};
use serde_json::json;

use crate::session::{Place, Session, read};

/// Names that exist at the destination hold the whole content of their source.
fn whole_or_absent(place: &Place, dst: &str) -> usize {
    let mut whole = 0;
    let mut open = vec![place.path(dst)];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            if path.file_name().unwrap().as_encoded_bytes().starts_with(b".mig-") {
                continue;
            }
            let source = place.path("src").join(path.strip_prefix(place.path(dst)).unwrap());
            assert_eq!(read(&path), read(&source), "{}", path.display());
            whole += 1;
        }
    }
    whole
}

#[test]
fn killed_at_many_moments_nothing_is_torn_and_cleanup_takes_the_rest() {
    let place = Place::new();
    SmallFiles { count: 4000, sizes: Sizes::Fixed(900), fan_out: 400, seed: 1 }
        .build(&place.path("src"))
        .unwrap();
    large_file(&place.path("src/big"), 32 << 20, 2).unwrap();
    let mut left_over = 0;
    for round in 0..10u64 {
        let dst = format!("dst{round}");
        let durability = if round % 2 == 0 { "crash" } else { "power_loss" };
        let mut session = Session::start(&place, &[]);
        session.send(
            &json!({"op": "copy", "id": "c", "src": "src", "dst": dst, "durability": durability}),
        );
        session.until(|line| line["type"] == "state");
        std::thread::sleep(Duration::from_millis(5 + 25 * round));
        session.kill();
        whole_or_absent(&place, &dst);
        left_over += place.leftovers().len();
        let mut session = Session::start(&place, &[]);
        let before = place.leftovers().len();
        let dry = session.call(&json!({"op": "cleanup", "id": "dry", "dry_run": true}));
        assert_eq!(dry["data"]["removed"], before, "{dry}");
        let cleaned = session.call(&json!({"op": "cleanup", "id": "u"}));
        assert_eq!(
            (&cleaned["data"]["removed"], &cleaned["data"]["leftovers"]),
            (&json!(before), &json!([]))
        );
        assert_eq!(place.leftovers().len(), 0);
        let again = session.call(&json!({"op": "cleanup", "id": "u2"}));
        assert_eq!((&again["status"], &again["data"]["jobs"]), (&json!("ok"), &json!(0)));
    }
    assert!(left_over > 0, "no kill came in the middle of anything");
}

/// A cleanup of the dead never touches the files of the living.
#[test]
fn cleanup_leaves_running_jobs_alone() {
    let place = Place::new();
    large_file(&place.path("big"), 32 << 20, 2).unwrap();
    let slow = json!({"op": "copy", "id": "c", "src": "big", "dst": "out/a", "limits": {"bytes_per_s": "16MB"}});
    let mut living = Session::start(&place, &["--progress-ms", "50"]);
    living.send(&slow);
    living.until(|line| line["type"] == "progress" && line["bytes_done"].as_u64() > Some(0));
    let mut dead = Session::start(&place, &["--progress-ms", "50"]);
    let mut other = slow.clone();
    other["dst"] = "out/b".into();
    dead.send(&other);
    dead.until(|line| line["type"] == "progress" && line["bytes_done"].as_u64() > Some(0));
    dead.kill();
    assert_eq!(place.leftovers().len(), 2);
    let mut session = Session::start(&place, &[]);
    let cleaned = session.call(&json!({"op": "cleanup", "id": "u", "locations": ["out"]}));
    assert_eq!(cleaned["data"]["removed"], 1, "{cleaned}");
    assert_eq!(living.result("c")["status"], "ok");
    assert_eq!(read(&place.path("out/a")), read(&place.path("big")));
}

/// Files of dead jobs that this state directory never knew are found by name where asked.
#[test]
fn cleanup_by_location_takes_only_names_of_the_exact_form() {
    let place = Place::new();
    std::fs::create_dir_all(place.path("out/deep")).unwrap();
    let keep = [
        ".mig-1234567-0.part",
        ".mig-0123456789-0.part",
        "x.part",
        ".mig-01234567-0.par",
        ".mig-0123456G-0.part",
    ];
    for name in keep.iter().chain(&["deep/.mig-01234567-12.part", ".mig-89abcdef-0.part"]) {
        std::fs::write(place.path("out").join(name), "x").unwrap();
    }
    let mut session = Session::start(&place, &[]);
    let cleaned = session.call(&json!({"op": "cleanup", "id": "u", "locations": "out"}));
    assert_eq!(
        (&cleaned["data"]["removed"], &cleaned["data"]["bytes"]),
        (&json!(2), &json!(2)),
        "{cleaned}"
    );
    for name in keep {
        assert!(place.path("out").join(name).exists(), "{name}");
    }
}
