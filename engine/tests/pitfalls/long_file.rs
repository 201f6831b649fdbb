//! Files longer than one call of the system carries.

use std::os::unix::fs::FileExt as _;

use serde_json::json;

use crate::copy;
use crate::session::{Place, Session};

/// One call moves at most 2,147,479,552 bytes; programs that made one call cut files there.
#[test]
fn a_file_of_five_gibibytes_is_carried_over_whole() {
    const SIZE: u64 = (5 << 30) + 12_345;
    const CALL_MAX: u64 = 0x7fff_f000;
    let place = Place::new();
    let source = std::fs::File::create(place.path("src")).unwrap();
    source.set_len(SIZE).unwrap();
    let marks =
        [0, CALL_MAX - 4, CALL_MAX, 1 << 31, (1 << 32) - 4, 1 << 32, 2 * CALL_MAX, SIZE - 8];
    for at in marks {
        source.write_all_at(&at.to_le_bytes(), at).unwrap();
    }
    let mut session = Session::start(&place, &[]);
    let fields = json!({"checksum": "none", "verify": "none", "durability": "crash"});
    let result = copy(&mut session, "src", "dst", &fields);
    assert_eq!(result["status"], "ok", "{result}");
    let equal = std::process::Command::new("cmp")
        .args(["src", "dst"])
        .current_dir(place.dir.path())
        .status()
        .unwrap();
    assert!(equal.success());
    assert_eq!(std::fs::metadata(place.path("dst")).unwrap().len(), SIZE);
}
