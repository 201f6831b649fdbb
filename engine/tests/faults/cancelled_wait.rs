//! A job that waits for a service is cancelled: it ends, although its wait does not.

use std::time::Duration;

use migration_fixtures::store::{Action, Rule};
use serde_json::json;

use crate::bench::{Bench, DIALECTS};

/// The wait is longer than the harness's patience.
#[test]
fn a_wait_that_a_service_asked_for_is_left_by_a_cancel() {
    for dialect in DIALECTS {
        for action in [Action::Throttle { retry_after: Some(300) }, Action::Delay { ms: 300_000 }] {
            let mut bench = Bench::new(dialect);
            bench.write("f", b"content");
            bench.rule(Rule::any().then(action.clone()));
            let dst = bench.at("f");
            bench.session.send(&json!({"op": "copy", "id": "c", "src": "f", "dst": dst}));
            let delays = matches!(action, Action::Delay { .. });
            while !delays && bench.server.log().entries().is_empty()
                || delays && bench.server.connections() == 0
            {
                std::thread::sleep(Duration::from_millis(5));
            }
            bench.session.send(&json!({"op": "cancel", "id": "k", "target": "c"}));
            let result = bench.session.result("c");
            assert_eq!(result["status"], "cancelled", "{dialect:?} {result}");
        }
    }
}
