//! Memory stays below its cap, whatever the size or the count.

use migration_fixtures::{Sizes, SmallFiles};
use serde_json::json;

use crate::session::{Place, Session};

#[test]
fn a_hundred_thousand_commands_through_one_pipe_cost_no_memory() {
    let place = Place::new();
    let mut session = Session::start(&place, &[]);
    let mut after_warmup = 0;
    for round in 0..100 {
        let block: Vec<String> =
            (0..1000).map(|n| format!("{{\"op\":\"ping\",\"id\":\"{round}-{n}\"}}")).collect();
        session.send_bytes(block.join("\n").as_bytes());
        session.result(&format!("{round}-999"));
        session.seen.clear();
        if round == 10 {
            after_warmup = session.memory("VmHWM:");
        }
    }
    let grown = session.memory("VmHWM:") - after_warmup;
    assert!(grown < 4 << 20, "{grown} bytes more");
}

#[test]
fn big_chunks_and_many_workers_stay_under_a_small_cap() {
    let place = Place::new();
    SmallFiles { count: 20_000, sizes: Sizes::Fixed(100), fan_out: 2000, seed: 3 }
        .build(&place.path("src"))
        .unwrap();
    migration_fixtures::large_file(&place.path("src/big"), 300 << 20, 3).unwrap();
    let mut session = Session::start(&place, &["--memory-cap", "96MiB"]);
    let result = session.call(&json!({"op": "copy", "id": "c", "src": "src", "dst": "dst",
        "chunk_bytes": "16MiB", "parallel_files": 64, "durability": "crash"}));
    assert_eq!(result["status"], "ok", "{result}");
    let peak = session.memory("VmHWM:");
    assert!(peak < 96 << 20, "{peak}");
    let refused = session.call(
        &json!({"op": "copy", "id": "d", "src": "src/big", "dst": "d", "chunk_bytes": "64MiB"}),
    );
    assert_eq!(refused["error"]["code"], "MEMORY", "{refused}");
}

/// A sparse file may tell any size: what is known of its parts takes the same memory.
#[test]
fn a_file_of_any_size_takes_no_memory() {
    let place = Place::new();
    let shm = tempfile::tempdir_in("/dev/shm").unwrap();
    let source = shm.path().join("vast");
    std::fs::File::create(&source).unwrap().set_len(7 << 60).unwrap();
    let mut session = Session::start(&place, &["--memory-cap", "64MiB", "--progress-ms", "50"]);
    let dst = shm.path().join("dst");
    for checksum in ["crc64nvme", "none"] {
        session.send(
            &json!({"op": "copy", "id": "c", "src": source, "dst": dst, "checksum": checksum}),
        );
        session.until(|line| line["bytes_done"].as_u64() > Some(0));
        session.send(&json!({"op": "cancel", "id": "x", "target": "c"}));
        assert_eq!(session.result("c")["status"], "cancelled");
    }
    let peak = session.memory("VmHWM:");
    assert!(peak < 64 << 20, "{peak}");
    assert!(!dst.exists() && std::fs::read_dir(shm.path()).unwrap().count() == 1);
}

#[test]
fn a_directory_of_any_number_of_directories_is_walked_in_little_memory() {
    let place = Place::new();
    let wide = place.path("wide");
    std::fs::create_dir(&wide).unwrap();
    for n in 0..30_000 {
        std::fs::create_dir(wide.join(format!("{n:0>200}"))).unwrap();
    }
    std::fs::create_dir(place.path("empty")).unwrap();
    let mut session = Session::start(&place, &[]);
    let before = session.memory("VmHWM:");
    let result = session.call(&json!({"op": "inspect", "id": "i", "src": "wide"}));
    assert_eq!(result["data"]["directories"], 30_000, "{result}");
    let walked = session.memory("VmHWM:") - before;
    let swept = session.call(&json!({"op": "cleanup", "id": "c", "locations": ["wide"]}));
    assert_eq!(swept["status"], "ok", "{swept}");
    let deletion = json!({"op": "copy", "id": "d", "src": "empty", "dst": "wide", "delete": true,
        "on_exists": "update", "dry_run": true});
    let planned = session.call(&deletion);
    assert_eq!(planned["status"], "ok", "{planned}");
    let grown = session.memory("VmHWM:") - before;
    assert!(grown < 6 << 20, "{walked} bytes more for a walk, {grown} in all");
}
