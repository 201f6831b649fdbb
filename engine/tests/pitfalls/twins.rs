//! Names that only some filesystems tell apart.

use serde_json::json;

use crate::copy;
use crate::session::{Place, Session};

/// Names that differ in case, or in how a letter is composed, are names of their own here.
#[test]
fn twins_stay_apart_where_the_filesystem_tells_them_apart() {
    let place = Place::new();
    let names = ["README", "readme", "caf\u{e9}", "cafe\u{301}", "stra\u{df}e", "STRASSE"];
    std::fs::create_dir(place.path("src")).unwrap();
    for name in names {
        std::fs::write(place.path("src").join(name), name).unwrap();
    }
    let mut session = Session::start(&place, &[]);
    for on_exists in ["fail", "replace", "update"] {
        let result = copy(&mut session, "src", "dst", &json!({"on_exists": on_exists}));
        assert_eq!(result["status"], "ok", "{result}");
    }
    for name in names {
        assert_eq!(std::fs::read_to_string(place.path("dst").join(name)).unwrap(), name);
    }
}
