//! A keyed job is killed while a large file is sent: its next attempt sends what is missing, and
//! nothing else.

use migration_fixtures::store::Action;
use serde_json::json;

use crate::bench::{Bench, DIALECTS, PART, PARTS, bytes};
use crate::session::Session;

/// Parts that the store took before the kill, and how long each waits there: long enough that those
/// before the last were recorded.
const TAKEN: u64 = 8;
const EACH_MS: u64 = 300;

#[test]
fn parts_of_a_killed_job_are_not_sent_again() {
    for dialect in DIALECTS {
        let mut bench = Bench::new(dialect);
        let all = bytes(6 * PARTS, 19);
        bench.write("f", &all);
        bench.rule(bench.of_part("f").times(TAKEN).then(Action::Delay { ms: EACH_MS }));
        bench.rule(bench.of_part("f").from(TAKEN + 1).then(Action::Delay { ms: 60_000 }));
        let dst = bench.in_parts("f");
        let copy = json!({"op": "copy", "id": "c", "key": "k", "src": "f", "dst": dst,
            "parallel_chunks": 1});
        bench.session.send(&copy);
        while bench.done(bench.names.part, "f") < TAKEN as usize {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let next = Session::start(&bench.place, &[]);
        std::mem::replace(&mut bench.session, next).kill();
        bench.server.script().clear();
        let result = bench.session.call(&copy);
        assert_eq!(result["status"], "ok", "{dialect:?} {result}");
        assert!(bench.object("f").unwrap() == all, "{dialect:?}");
        // Those of the last second before the kill were not recorded yet.
        let again = 1000 / EACH_MS as usize + 1;
        let sent = bench.done(bench.names.part, "f") - all.len().div_ceil(PART);
        assert!(sent <= again, "{dialect:?} {sent} parts were sent again");
        assert!(bench.is_clean(), "{dialect:?} {:?}", bench.server.objects().keys("bucket"));
    }
}
