//! Holes: of every size and place, over content that stood there, and around content that the
//! device has not seen yet.

use std::os::unix::fs::FileExt as _;

use serde_json::json;

use crate::session::{Place, Session, read};
use crate::{copy, methods, run};

/// Sizes around sectors, pages and chunks.
const SIZES: [u64; 12] =
    [1, 7, 511, 512, 513, 4095, 4096, 4097, 65_537, (1 << 20) - 1, (1 << 20) + 1, (9 << 20) + 513];

/// Content in islands, of which the last may end anywhere.
fn sparse(path: &std::path::Path, size: u64, seed: u64) {
    let file = std::fs::File::create(path).unwrap();
    file.set_len(size).unwrap();
    let mut at = seed * 4096 * 3;
    while at < size {
        let bytes = (size - at).min(1000 + at % 4096);
        let island: Vec<u8> = (0..bytes).map(|n| ((at + n) % 251) as u8 + 1).collect();
        file.write_all_at(&island, at).unwrap();
        at += 64 << 10;
    }
}

#[test]
fn holes_and_tails_are_exact_and_hide_nothing_old() {
    let place = Place::new();
    std::fs::create_dir(place.path("src")).unwrap();
    for size in SIZES {
        for seed in 0..2 {
            sparse(&place.path(&format!("src/{size}-{seed}")), size, seed);
        }
    }
    let mut session = Session::start(&place, &[]);
    for (n, method) in methods().iter().enumerate() {
        let dst = format!("dst{n}");
        std::fs::create_dir(place.path(&dst)).unwrap();
        for entry in std::fs::read_dir(place.path("src")).unwrap() {
            let entry = entry.unwrap();
            let old = vec![0xee; entry.metadata().unwrap().len() as usize + 70_000];
            std::fs::write(place.path(&dst).join(entry.file_name()), old).unwrap();
        }
        let mut fields = method.clone();
        fields["on_exists"] = "replace".into();
        let result = copy(&mut session, "src", &dst, &fields);
        assert_eq!(result["status"], "ok", "{result}");
        run(&place, "diff", &["-r", "src", &dst]);
    }
}

#[test]
fn punched_content_stays_away() {
    let place = Place::new();
    let source = place.path("src");
    std::fs::write(&source, vec![0xaa; 4 << 20]).unwrap();
    run(&place, "fallocate", &["--punch-hole", "-o", "1048576", "-l", "1052673", "src"]);
    run(&place, "fallocate", &["--zero-range", "-o", "3000001", "-l", "70000", "src"]);
    let content = read(&source);
    let mut session = Session::start(&place, &[]);
    for (n, method) in methods().iter().enumerate() {
        let dst = format!("dst{n}");
        let result = copy(&mut session, "src", &dst, method);
        assert_eq!(result["status"], "ok", "{result}");
        assert!(read(&place.path(&dst)) == content, "{method}");
    }
}

/// A filesystem that told of holes before what was written reached it gave copies full of zeros.
#[test]
fn content_that_is_only_in_memory_is_no_hole() {
    let place = Place::new();
    let mut session = Session::start(&place, &[]);
    for round in 0..40u64 {
        let name = format!("src{round}");
        let file = std::fs::File::create(place.path(&name)).unwrap();
        file.set_len(3 << 20).unwrap();
        for at in [round * 4096, (1 << 20) + round * 512, (3 << 20) - 100] {
            file.write_all_at(&[round as u8 + 1; 90], at).unwrap();
        }
        let dst = format!("dst{round}");
        let fields = &methods()[round as usize % methods().len()];
        let result = copy(&mut session, &name, &dst, fields);
        assert_eq!(result["status"], "ok", "{result}");
        assert!(read(&place.path(&dst)) == read(&place.path(&name)), "{round}: {fields}");
    }
    assert_eq!(json!(place.leftovers().len()), 0);
}
