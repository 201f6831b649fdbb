//! A source that grows or shrinks all the time ends its item, not never.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::copy;
use crate::session::{Place, Session};

/// Runs copies while `change` goes on; each must end soon, with a whole file or a refusal.
fn while_changing(place: &Place, change: impl Fn(&std::fs::File) + Sync) {
    let done = AtomicBool::new(false);
    let mut session = Session::start(place, &[]);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut options = std::fs::OpenOptions::new();
            let file = options.append(true).create(true).open(place.path("src")).unwrap();
            while !done.load(Ordering::Acquire) {
                change(&file);
            }
        });
        for round in 0..12 {
            let begun = Instant::now();
            let dst = format!("dst{round}");
            let fields = json!({"chunk_bytes": "64KiB", "durability": "crash"});
            let result = copy(&mut session, "src", &dst, &fields);
            let took = begun.elapsed();
            if took > Duration::from_secs(20) {
                done.store(true, Ordering::Release);
                panic!("{took:?}: {result}");
            }
            match result["status"].as_str() {
                Some("ok") => {
                    let length = std::fs::metadata(place.path(&dst)).unwrap().len();
                    assert_eq!(result["metrics"]["bytes"], length);
                }
                _ => assert_eq!(result["error"]["code"], "SRC_CHANGED", "{result}"),
            }
        }
        done.store(true, Ordering::Release);
    });
    assert_eq!(place.leftovers().len(), 0);
}

/// Begun while it is empty, and written faster than it is read: its end may never be reached.
#[test]
fn a_source_that_grows_for_ever_ends_its_item() {
    let place = Place::new();
    std::fs::write(place.path("src"), "").unwrap();
    let begun = Instant::now();
    while_changing(&place, |mut file| {
        file.write_all(&[7; 64 << 10]).unwrap();
        if file.metadata().unwrap().len() > 200 << 20
            || begun.elapsed().as_millis().is_multiple_of(50)
        {
            file.set_len(0).unwrap();
        }
    });
}

#[test]
fn a_source_that_shrinks_for_ever_ends_its_item() {
    let place = Place::new();
    std::fs::write(place.path("src"), vec![7; 8 << 20]).unwrap();
    while_changing(&place, |file| {
        let length = file.metadata().unwrap().len();
        file.set_len(if length < 1 << 20 { 8 << 20 } else { length - (64 << 10) }).unwrap();
    });
}
