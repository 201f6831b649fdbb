//! A digest that goes in order is taken of an object that comes by several ranges: each of them is
//! asked for once, and no byte twice.

use migration_fixtures::store::Options;
use serde_json::{Value, json};

use crate::bench::{Bench, DIALECTS, bytes};

const SIZE: usize = (48 << 20) + 17;
/// Heads of answers, beside the content.
const HEAD_BYTES_MAX: u64 = 2000;

/// Reads an object by a command, which must end well; how many ranges were asked for.
fn ranges(mut bench: Bench, command: &Value) -> usize {
    bench.put("f", &bytes(SIZE, 37));
    let mut command = command.clone();
    command["id"] = json!("c");
    command["src"] = bench.at("f");
    let result = bench.session.call(&command);
    assert_eq!(result["status"], "ok", "{:?} {result}", bench.dialect);
    let asked = bench.server.log().of(bench.names.get);
    let sent: u64 = asked.iter().map(|entry| entry.bytes_out).sum();
    assert!(sent < SIZE as u64 + HEAD_BYTES_MAX * asked.len() as u64, "{:?} {sent}", bench.dialect);
    asked.len()
}

#[test]
fn ranges_are_as_long_as_without_it() {
    for dialect in DIALECTS {
        for algorithm in ["sha256", "md5", "crc64nvme"] {
            let copy = json!({"op": "copy", "dst": "f", "checksum": algorithm});
            assert_eq!(ranges(Bench::new(dialect), &copy), 7, "{dialect:?} {algorithm}");
            let digest = json!({"op": "checksum", "algorithm": algorithm});
            assert_eq!(ranges(Bench::new(dialect), &digest), 7, "{dialect:?} {algorithm}");
        }
    }
}

/// They are shorter where there is little memory, and no byte is asked for twice all the same.
#[test]
fn ranges_are_shorter_where_there_is_little_memory() {
    for dialect in DIALECTS {
        let copy = json!({"op": "copy", "dst": "f", "checksum": "sha256"});
        let bench = Bench::with(Options::new(dialect), &["--memory-cap", "16MiB"]);
        let asked = ranges(bench, &copy);
        assert!((7..=SIZE.div_ceil(1 << 20)).contains(&asked), "{dialect:?} {asked}");
    }
}
