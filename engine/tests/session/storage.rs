//! What the storage does by itself: shared blocks and holes.

use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;

use migration_fixtures::{Mounted, large_file};
use serde_json::{Value, json};

use crate::session::{Place, Session, read};

fn copy(place: &Place, fields: Value) -> Value {
    let mut command = json!({"op": "copy", "id": "c", "durability": "crash"});
    command.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let result = Session::start(place, &[]).call(&command);
    assert_eq!(result["status"], "ok", "{result}");
    result
}

/// Where blocks can be shared, they are, and the digest is of what stands at the destination.
#[test]
fn blocks_are_shared_where_the_filesystem_can() {
    for (kind, bytes) in [("btrfs", 128 << 20), ("xfs", 320 << 20)] {
        let place = Place::new();
        let _mounted = Mounted::image(&place.path("fs"), kind, bytes, &[]);
        let at = place.path("fs");
        std::fs::create_dir_all(at.join("src")).unwrap();
        large_file(&at.join("src/large"), 40 << 20, 1).unwrap();
        large_file(&at.join("src/middle"), 100_000, 2).unwrap();
        std::fs::write(at.join("src/small"), "small").unwrap();
        let result = copy(&place, json!({"src": "fs/src", "dst": "fs/dst", "preserve": []}));
        assert_eq!(result["data"]["offload"], json!({"reflink": 2}), "{kind}");
        for name in ["large", "middle", "small"] {
            assert!(read(&at.join("src").join(name)) == read(&at.join("dst").join(name)));
        }
        let again = json!({"src": "fs/src/large", "dst": "fs/one", "checksum": "sha256"});
        let digest = copy(&place, again)["data"]["digests"]["sha256"].clone();
        let expected = Session::start(&place, &[])
            .call(&json!({"op": "checksum", "id": "k", "src": "fs/src/large"}));
        assert_eq!(digest, expected["data"]["digests"][0]["digests"]["sha256"], "{kind}");
        // A longer file that is replaced by a shorter one leaves no tail, whichever way.
        let replace = json!({"src": "fs/src/middle", "dst": "fs/one", "on_exists": "replace"});
        copy(&place, replace);
        assert!(read(&at.join("src/middle")) == read(&at.join("one")), "{kind}");
    }
}

fn holed(path: &Path, data: &[u64], size: u64) {
    let file = std::fs::File::create(path).unwrap();
    file.set_len(size).unwrap();
    for at in data {
        file.write_all_at(&[7; 5000], *at).unwrap();
    }
}

#[test]
fn holes_stay_holes_unless_they_are_not_wanted() {
    let place = Place::new();
    let gib = 1u64 << 30;
    let files: [(&str, &[u64], u64); 4] = [
        ("tail", &[0], gib),
        ("head", &[gib - 5000], gib),
        ("only", &[], gib + 1),
        ("small", &[1 << 20], (2 << 20) + 3),
    ];
    std::fs::create_dir(place.path("src")).unwrap();
    files.iter().for_each(|(name, data, size)| holed(&place.path("src").join(name), data, *size));
    for checksum in ["crc64nvme", "none"] {
        let dst = format!("dst-{checksum}");
        copy(&place, json!({"src": "src", "dst": dst, "checksum": checksum}));
        for (name, data, size) in files {
            let copy = place.path(&dst).join(name);
            let facts = copy.metadata().unwrap();
            let most = data.len() as u64 * 16_384 / 512;
            assert!(facts.blocks() <= most, "{name}: {} blocks", facts.blocks());
            assert_eq!(facts.len(), size);
            let same = std::process::Command::new("cmp")
                .args([&copy, &place.path("src").join(name)])
                .status();
            assert!(same.unwrap().success(), "{name}");
        }
    }
    let dense = json!({"src": "src/small", "dst": "dense", "preserve": ["mode"]});
    copy(&place, dense);
    assert!(place.path("dense").metadata().unwrap().blocks() >= (2 << 20) / 512);
    assert!(read(&place.path("dense")) == read(&place.path("src/small")));
}
