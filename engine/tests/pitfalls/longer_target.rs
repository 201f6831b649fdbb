//! What stood there was longer: nothing of it shows behind the new end.

use migration_fixtures::large_file;
use serde_json::json;

use crate::session::{Place, Session, read};
use crate::{copy, methods};

#[test]
fn a_shorter_file_over_a_longer_one_has_no_old_tail() {
    let place = Place::new();
    let sizes = [0, 1, 4095, 65_537, (1 << 20) + 1, (9 << 20) + 5];
    for size in sizes {
        large_file(&place.path(&format!("src{size}")), size, size).unwrap();
    }
    let mut session = Session::start(&place, &[]);
    for method in methods() {
        for size in sizes {
            for on_exists in ["replace", "update"] {
                large_file(&place.path("dst"), size + 100_000, 77).unwrap();
                let mut fields = method.clone();
                fields["on_exists"] = on_exists.into();
                let name = format!("src{size}");
                let result = copy(&mut session, &name, "dst", &fields);
                assert_eq!(result["status"], "ok", "{result}");
                assert!(read(&place.path("dst")) == read(&place.path(&name)), "{size}: {fields}");
                std::fs::remove_file(place.path("dst")).unwrap();
            }
        }
    }
    assert_eq!(json!(place.leftovers().len()), 0);
}
