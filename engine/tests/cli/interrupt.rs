//! Ctrl-C.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::binary::Place;

/// Whether a temporary file stands in the place.
fn is_writing(place: &Place) -> bool {
    let entries = std::fs::read_dir(place.path("")).unwrap().flatten();
    entries.into_iter().any(|entry| entry.file_name().as_encoded_bytes().starts_with(b".mig-"))
}

#[test]
fn an_interrupt_says_so_and_leaves_nothing() {
    let place = Place::new();
    place.write("big", vec![3; 16 << 20]);
    let mut command = place.command(["copy", "big", "copy", "--bytes-per-s", "1MB"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while !is_writing(&place) {
        std::thread::sleep(Duration::from_millis(5));
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let out = child.wait_with_output().unwrap();
    let err = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(130), "{err}");
    assert!(
        err.contains("cancelling; interrupt again") && err.contains("error[CANCELLED]"),
        "{err}"
    );
    assert!(!place.path("copy").exists() && !is_writing(&place));
}
