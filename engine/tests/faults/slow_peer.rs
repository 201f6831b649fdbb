//! A peer sends byte by byte, always just in time: it is left, and asked again.

use migration_engine::model::path::ItemPath;
use migration_engine::model::version::Version;
use migration_engine::remote::call::{Class, Side};
use migration_fixtures::store::{Action, Rule};

use crate::bench::{Bench, DIALECTS, bytes, content, hasty};

#[test]
fn a_head_that_drips_is_left_and_asked_for_again() {
    for dialect in DIALECTS {
        let bench = Bench::new(dialect);
        bench.put("f", b"content");
        let store = bench.store(Side::Source, &hasty());
        let drips = Action::SlowHead { bytes_per_second: 50 };
        bench.rule(Rule::of(bench.names.get).times(1).then(drips));
        let opened = store.read("f", Version::default(), None).unwrap();
        assert_eq!(content(opened), b"content", "{dialect:?}");
        assert_eq!(bench.server.log().count(bench.names.get), 2, "{dialect:?}");
    }
}

#[test]
fn a_body_that_drips_is_a_timeout() {
    for dialect in DIALECTS {
        let bench = Bench::new(dialect);
        bench.put("f", &bytes(100_000, 15));
        let store = bench.store(Side::Source, &hasty());
        let drips = Action::SlowBody { bytes_per_second: 2000 };
        bench.rule(Rule::of(bench.names.get).then(drips));
        let mut opened = store.read("f", Version::default(), None).unwrap();
        let mut buffer = [0; 1000];
        let failure = loop {
            match opened.body.read(&mut buffer) {
                Ok(0) => panic!("{dialect:?}: all came"),
                Ok(_) => {}
                Err(failure) => break failure,
            }
        };
        assert_eq!(failure.class, Class::Timeout, "{dialect:?}");
    }
}

#[test]
fn a_reader_goes_on_behind_what_dripped() {
    for dialect in DIALECTS {
        let bench = Bench::new(dialect);
        let all = bytes(100_000, 15);
        bench.put("f", &all);
        let source = bench.source("f", &hasty());
        let drips = Action::SlowBody { bytes_per_second: 2000 };
        bench.rule(Rule::of(bench.names.get).times(2).then(drips));
        let item = source.find(&ItemPath::root()).unwrap().unwrap();
        let reader = source.open(&item).unwrap();
        let (mut read, mut buffer) = (Vec::new(), [0; 5000]);
        while read.len() < all.len() {
            match reader.read_at(read.len() as u64, &mut buffer).unwrap() {
                0 => panic!("{dialect:?}: ended at {}", read.len()),
                count => read.extend_from_slice(&buffer[..count]),
            }
        }
        assert!(read == all && reader.unchanged().unwrap(), "{dialect:?}");
        assert!(bench.server.log().count(bench.names.get) >= 3, "{dialect:?}");
    }
}
