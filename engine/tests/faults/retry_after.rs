//! A service says when it may be asked again: not before.

use migration_fixtures::store::Action;
use serde_json::json;

use crate::bench::{Bench, DIALECTS};

#[test]
fn nobody_asks_again_before_the_time_that_was_named() {
    for dialect in DIALECTS {
        let mut bench = Bench::new(dialect);
        for file in ["t/a", "t/b", "t/c"] {
            bench.write(file, b"content");
        }
        let wait = Action::Throttle { retry_after: Some(2) };
        bench.rule(bench.of_put("t/a").times(1).then(wait));
        let result = bench.copy(&json!("t"), &bench.at("t"), &json!({"parallel_files": 1}));
        assert_eq!(result["status"], "ok", "{dialect:?} {result}");
        let puts = bench.server.log().of(bench.names.put);
        let refused = puts.iter().position(|put| put.scripted).unwrap();
        let pause = puts[refused + 1].at_ms - puts[refused].at_ms;
        assert!(pause >= 2000, "{dialect:?}: {pause} ms");
        assert!(result["metrics"]["throttled_ms"].as_u64().unwrap() >= 1900, "{result}");
    }
}
