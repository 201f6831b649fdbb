//! Listings: whole, exact, and calm about a reader that goes away.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::os::unix::ffi::OsStrExt as _;
use std::process::Stdio;

use crate::binary::{Place, Ran};
use crate::{HELLO_SHA256, with_tree};

#[test]
fn checksum_prints_what_sha256sum_reads() {
    let place = with_tree();
    place.write(OsStr::from_bytes(b"in/odd\xff"), "x");
    place.write("in/new\nline", "y");
    place.write("in/back\\slash", "z");
    let ran = place.run(["checksum", "in"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let list = ran.text();
    assert!(list.contains(&format!("{HELLO_SHA256}  a.txt\n")), "{list}");
    assert!(ran.out.windows(6).any(|w| w == b"  odd\xff"), "names keep their bytes");
    place.write("SUMS", &ran.out);
    let checked = place.run(["checksum", "in", "--check", "SUMS"]);
    assert_eq!(checked.code, 0, "{checked:?}");
    assert!(checked.text().contains("5 matched"), "{}", checked.text());
    place.write("in/a.txt", "other\n");
    let checked = place.run(["checksum", "in", "--check", "SUMS"]);
    assert_eq!(checked.code, 4);
    assert!(checked.text().contains("a.txt: FAILED"), "{}", checked.text());
}

#[test]
fn checksum_with_several_algorithms_and_missing_files() {
    let place = with_tree();
    let ran = place.run(["checksum", "in/a.txt", "absent", "--algorithm", "md5,sha256"]);
    assert_eq!(ran.code, 3);
    let expected =
        format!("md5:b1946ac92492d2347c6235b4d2611184  sha256:{HELLO_SHA256}  in/a.txt\n");
    assert_eq!(ran.text(), expected);
    assert!(ran.err.contains("failed: absent: ") && ran.err.contains("error[SRC_NOT_FOUND]"));
}

/// Every file is listed, not only as many as a result holds.
#[test]
fn long_listings_are_whole() {
    let place = Place::new();
    (0..3000).for_each(|n| place.write(format!("in/f{n}"), "x"));
    assert_eq!(place.run(["checksum", "in"]).text().lines().count(), 3000);
}

/// A reader that has seen enough ends a listing in order, and a session with its own code.
#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let place = Place::new();
    (0..5000).for_each(|n| place.write(format!("in/a-rather-long-name-of-a-file-{n}"), "x"));
    let read_one = |arguments: &[&str]| {
        let mut command = place.command(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::with_capacity(64, child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let out = child.wait_with_output().unwrap();
        let err = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(!line.is_empty() && !err.contains("panic"), "{err}");
        out.status.code().unwrap()
    };
    assert_eq!(read_one(&["schema"]), 0);
    assert_eq!(read_one(&["checksum", "in"]), 74);
    assert_eq!(read_one(&["checksum", "in", "--json"]), 74);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let ran = Ran::of(place.command(["schema"]).stdout(full));
    assert_eq!(ran.code, 74);
}
