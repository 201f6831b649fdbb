//! A store that takes the framing of aws-chunked for content: it is never sent any.

use migration_fixtures::store::{Action, Dialect, Rule};
use serde_json::json;

use crate::bench::{Bench, PARTS, bytes};

#[test]
fn no_framing_is_ever_part_of_an_object() {
    for store in [true, false] {
        let mut bench = Bench::new(Dialect::S3);
        let (small, large) = (bytes(1000, 20), bytes(PARTS, 21));
        bench.write("t/small", &small);
        bench.write("t/large", &large);
        bench.write("t/empty", b"");
        bench.rule(Rule::any().then(Action::NoTrailers { store }));
        let result = bench.copy(&json!("t"), &bench.in_parts("t"), &json!({}));
        assert_eq!(result["status"], "ok", "{result}");
        assert!(bench.object("t/small").unwrap() == small);
        assert!(bench.object("t/large").unwrap() == large);
        assert_eq!(bench.object("t/empty").unwrap(), b"");
        for entry in bench.server.log().entries() {
            let field = |name: &str| entry.headers.get(name).cloned().unwrap_or_default();
            assert!(!field("content-encoding").contains("aws-chunked"), "{entry:?}");
            assert!(!field("x-amz-content-sha256").starts_with("STREAMING"), "{entry:?}");
            let none = ["x-amz-trailer", "transfer-encoding", "x-amz-decoded-content-length"];
            assert!(none.iter().all(|name| field(name).is_empty()), "{entry:?}");
        }
    }
}
