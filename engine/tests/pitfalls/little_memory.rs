//! A low cap and large chunks: refused or done, but no waiting for memory that never comes.

use migration_fixtures::large_file;
use serde_json::json;

use crate::session::{Place, Session, read};

#[test]
fn more_workers_and_chunks_than_memory_wait_for_nobody() {
    let place = Place::new();
    std::fs::create_dir(place.path("src")).unwrap();
    for n in 0..30 {
        large_file(&place.path(&format!("src/f{n}")), 2 << 20, n).unwrap();
    }
    let mut session = Session::start(&place, &["--memory-cap", "64MiB"]);
    for (id, chunk, files) in [("1", "16MiB", 256), ("2", "64MiB", 8), ("3", "1MiB", 256)] {
        let result = session.call(&json!({"op": "copy", "id": id, "src": "src", "dst": id,
            "chunk_bytes": chunk, "parallel_files": files, "durability": "crash"}));
        if result["status"] != "ok" {
            let code = result["error"]["code"].as_str().unwrap();
            assert!(["MEMORY", "INVALID_FIELD"].contains(&code), "{result}");
            continue;
        }
        for n in 0..30 {
            let name = format!("f{n}");
            assert!(read(&place.path(id).join(&name)) == read(&place.path("src").join(&name)));
        }
    }
}
