//! A first attempt at a part is still on its way when the second one has been answered, and the
//! buffer of both holds other bytes by then: the object has the part's own.

use std::time::Duration;

use migration_engine::endpoint::store::verbs::Condition;
use migration_engine::remote::call::Side;
use migration_engine::remote::settings::Waits;
use migration_engine::remote::ties::Ties;
use migration_fixtures::store::Action;

use crate::bench::{Bench, DIALECTS, PART, bytes, hasty, nonce};

/// Sends three parts from one buffer, filled anew for each; the first attempts at the first two meet
/// `fault`.
fn from_one_buffer(fault: &Action, waits: Waits) {
    for dialect in DIALECTS {
        let bench = Bench::new(dialect);
        let store = bench.store(Side::Destination, &Ties { waits, ..hasty() });
        let write = nonce(77, Condition::Absent);
        let upload = store.begin("f", &write).unwrap();
        bench.rule(bench.of_part("f").times(1).then(fault.clone()));
        let all = bytes(3 * PART, 16);
        let mut buffer = vec![0; PART];
        let mut parts = Vec::new();
        for (index, part) in all.chunks(PART).enumerate() {
            buffer.copy_from_slice(part);
            let offset = (index * PART) as u64;
            parts.push(store.put_part(&upload, index as u32, offset, &buffer, None).unwrap());
            buffer.fill(0xee);
        }
        store.complete(&upload, &parts, &write).unwrap();
        let sent = bench.server.log().of(bench.names.part);
        assert!(sent.len() >= 3, "{dialect:?}");
        assert!(bench.object("f").unwrap() == all, "{dialect:?}");
    }
}

#[test]
fn an_attempt_that_is_answered_late_changes_nothing() {
    from_one_buffer(&Action::DelayAnswer { ms: 2500 }, hasty().waits);
}

#[test]
fn an_attempt_that_is_still_being_read_changes_nothing() {
    let whole = Duration::from_secs(2);
    let waits = Waits { whole, ..Waits::default() };
    from_one_buffer(&Action::SlowRequest { bytes_per_second: 1 << 20 }, waits);
}
