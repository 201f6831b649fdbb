//! Parts that are larger than the memory allows: done or refused, but nobody waits for ever.

use serde_json::json;

use crate::bench::{Bench, DIALECTS, bytes, code};
use migration_fixtures::store::Options;

#[test]
fn large_parts_under_a_low_cap_wait_for_nobody() {
    for dialect in DIALECTS {
        let mut bench = Bench::with(Options::new(dialect), &["--memory-cap", "64MiB"]);
        let all: Vec<_> = (0..3).map(|seed| bytes(9 << 20, seed)).collect();
        for (file, content) in all.iter().enumerate() {
            bench.write(&format!("t/{file}"), content);
        }
        for (to, part) in [("a", "16MiB"), ("b", "5MiB"), ("c", "256MiB")] {
            let mut dst = bench.at(to);
            dst["part_bytes"] = json!(part);
            let fields = json!({"parallel_files": 64, "parallel_chunks": 16});
            let result = bench.copy(&json!("t"), &dst, &fields);
            if result["status"] != "ok" {
                assert!(["MEMORY", "INVALID_FIELD"].contains(&code(&result)), "{result}");
                continue;
            }
            for (file, content) in all.iter().enumerate() {
                assert!(bench.object(&format!("{to}/{file}")).unwrap() == *content, "{dialect:?}");
            }
        }
        let result = bench.copy(&bench.at("b"), &json!("back"), &json!({"parallel_files": 64}));
        assert_eq!(result["status"], "ok", "{dialect:?} {result}");
    }
}
