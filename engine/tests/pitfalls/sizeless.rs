//! Files that say they have no content, or another amount than they have.

use serde_json::json;

use crate::session::{Place, Session, read};
use crate::{copy, methods};

/// procfs tells a size of 0, and a call that copies in the kernel answers 0 for it.
#[test]
fn a_file_that_tells_no_size_is_read_to_its_end() {
    let place = Place::new();
    let mut session = Session::start(&place, &[]);
    for source in ["/proc/version", "/proc/filesystems", "/proc/sys/kernel/ostype"] {
        let content = std::fs::read(source).unwrap();
        assert!(!content.is_empty());
        for (n, method) in methods().iter().enumerate() {
            let dst = format!("{}-{n}", source.replace('/', "_"));
            let result = copy(&mut session, source, &dst, method);
            assert_eq!(result["status"], "ok", "{result}");
            assert!(read(&place.path(&dst)) == content, "{source} {method}");
        }
    }
}

/// sysfs tells a page for a file of a few bytes: its content, or a refusal, but no padding.
#[test]
fn a_file_shorter_than_it_tells_is_not_padded() {
    let place = Place::new();
    let mut session = Session::start(&place, &[]);
    let source = "/sys/devices/system/cpu/possible";
    let content = std::fs::read(source).unwrap();
    for (n, method) in methods().iter().enumerate() {
        let dst = format!("copy-{n}");
        let result = copy(&mut session, source, &dst, method);
        match std::fs::read(place.path(&dst)) {
            Ok(copied) => assert!(copied == content, "{method}"),
            Err(_) => assert_eq!(result["error"]["code"], "SRC_CHANGED", "{result}"),
        }
        assert_eq!(json!(place.leftovers().len()), 0);
    }
}
