//! Compression: what comes back is what went in, damage and bombs publish nothing.

use std::process::Command;

use migration_fixtures::{Content, large_file};
use serde_json::{Value, json};

use crate::session::{Place, Session, read};

const FORMS: [(&str, &str); 4] =
    [("gzip", "gz"), ("zstd", "zst"), ("lz4", "lz4"), ("brotli", "br")];

/// Lines of a log, with some noise.
fn text(bytes: usize) -> Vec<u8> {
    let mut noise = vec![0; bytes / 6 + 9];
    Content::new(3, noise.len() as u64).fill(0, &mut noise);
    let line = |(n, noise): (usize, &[u8])| {
        let known =
            format!("2026-11-21T08:{:02}:{:02}Z info request {n} done in ", n / 60 % 60, n % 60);
        [known.as_bytes(), noise, b" us\n"].concat()
    };
    let mut all: Vec<u8> = noise.chunks(9).enumerate().flat_map(line).collect();
    all.truncate(bytes);
    all
}

fn ok(result: &Value) -> &Value {
    assert_eq!(result["status"], "ok", "{result}");
    &result["data"]
}

#[test]
fn every_form_comes_back_and_the_tools_agree() {
    let place = Place::new();
    let mut session = Session::start(&place, &[]);
    for (bytes, threads) in [(0, 2), (1, 1), (5_000_000, 1), (9_500_001, 2), (13_000_000, 7)] {
        let plain = text(bytes);
        std::fs::write(place.path("plain"), &plain).unwrap();
        for (form, ending) in FORMS {
            let (packed, back) = (format!("p{bytes}.{ending}"), format!("b{bytes}.{form}"));
            let level = if form == "brotli" { 2 } else { 1 };
            let result = session.call(&json!({
                "op": "compress", "id": "z", "src": "plain", "dst": packed, "level": level,
                "threads": threads, "verify": "decode",
            }));
            let data = ok(&result);
            assert_eq!((&data["format"], &data["original_bytes"]), (&json!(form), &json!(bytes)));
            let stored = read(&place.path(&packed));
            assert_eq!(data["stored_bytes"], stored.len());
            assert!(bytes < 1000 || data["method"] == "compressed", "{data}");
            let mut tool = Command::new(form);
            tool.args(["-dc", &packed]).current_dir(place.dir.path());
            let told = tool.output().unwrap();
            assert!(told.stdout == plain, "{form} of {bytes}");
            let undone = session.call(&json!({
                "op": "decompress", "id": "u", "src": packed, "dst": back, "threads": threads,
            }));
            let undone = ok(&undone);
            assert_eq!((&undone["format"], &undone["digests"]), (&json!(form), &data["digests"]));
            assert_eq!(undone["original_bytes"], bytes);
            assert!(read(&place.path(&back)) == plain, "{form} of {bytes}");
        }
    }
    assert_eq!(place.leftovers().len(), 0);
}

#[test]
fn noise_is_stored_and_levels_are_checked() {
    let place = Place::new();
    large_file(&place.path("noise"), 10 << 20, 5).unwrap();
    let mut session = Session::start(&place, &[]);
    for (form, ending) in FORMS.into_iter().take(3) {
        let dst = format!("noise.{ending}");
        let packed =
            session.call(&json!({"op": "compress", "id": form, "src": "noise", "dst": dst}));
        assert_eq!(ok(&packed)["method"], "stored", "{form}");
        let refused = session
            .call(&json!({"op": "compress", "id": "l", "src": "noise", "dst": dst, "level": 99}));
        assert_eq!(refused["error"]["at"]["field"], "level");
    }
}

#[test]
fn damage_and_bombs_publish_nothing() {
    let place = Place::new();
    std::fs::write(place.path("plain"), text(6_000_000)).unwrap();
    std::fs::write(place.path("zeros"), vec![0; 40 << 20]).unwrap();
    let mut session = Session::start(&place, &[]);
    for (form, ending) in FORMS {
        let packed = format!("plain.{ending}");
        ok(&session.call(&json!({"op": "compress", "id": "z", "src": "plain", "dst": packed})));
        let whole = read(&place.path(&packed));
        let mut flipped = whole.clone();
        let at = flipped.len() / 2;
        flipped[at] ^= 0x10;
        let cases = [
            ("cut", whole[..whole.len() - 21].to_vec()),
            ("flipped", flipped),
            ("behind", [&whole[..], b"garbage"].concat()),
            ("empty", Vec::new()),
        ];
        for (case, bytes) in cases {
            if form == "brotli" && case == "flipped" {
                continue;
            }
            let name = format!("{case}.{ending}");
            std::fs::write(place.path(&name), &bytes).unwrap();
            for threads in [1, 2] {
                let result = session.call(&json!({
                    "op": "decompress", "id": "d", "src": name, "dst": "out", "threads": threads,
                }));
                let error = &result["error"];
                assert_eq!(error["code"], "SRC_CORRUPT", "{form} {case}: {result}");
                assert!(error["at"]["offset"].as_u64().unwrap() <= bytes.len() as u64);
                assert!(!place.path("out").exists());
            }
        }
        let bomb = format!("zeros.{ending}");
        ok(&session.call(&json!({"op": "compress", "id": "z", "src": "zeros", "dst": bomb})));
        for caps in [json!({"max_bytes": "1MiB"}), json!({"max_ratio": 20})] {
            let mut command = json!({"op": "decompress", "id": "b", "src": bomb, "dst": "out"});
            command.as_object_mut().unwrap().extend(caps.as_object().unwrap().clone());
            let result = session.call(&command);
            assert_eq!(result["error"]["code"], "OUTPUT_LIMIT", "{form}: {result}");
            assert!(!place.path("out").exists());
        }
    }
    assert_eq!(place.leftovers().len(), 0);
}

#[test]
fn what_stands_there_is_judged_and_keys_answer_again() {
    let place = Place::new();
    std::fs::write(place.path("a"), text(100_000)).unwrap();
    std::fs::write(place.path("a.zst"), "older").unwrap();
    let mut session = Session::start(&place, &[]);
    let command = |id: &str, rule: &str| json!({"op": "compress", "id": id, "src": "a", "dst": "a.zst", "on_exists": rule});
    let refused = session.call(&command("f", "fail"));
    assert_eq!(refused["error"]["code"], "DST_EXISTS");
    let skipped = session.call(&command("s", "skip"));
    assert_eq!(
        (&skipped["status"], &skipped["metrics"]["items_skipped"]),
        (&json!("ok"), &json!(1))
    );
    assert_eq!(read(&place.path("a.zst")), b"older");
    let mut keyed = command("k", "replace");
    keyed["key"] = "once".into();
    let first = session.call(&keyed);
    keyed["id"] = "k2".into();
    let again = session.call(&keyed);
    assert_eq!((&again["replayed"], &again["data"]), (&json!(true), ok(&first)));
    let same = session.call(&json!({"op": "compress", "id": "o", "src": "a", "dst": "a"}));
    assert_eq!(same["error"]["code"], "OVERLAP");
}

#[test]
fn little_memory_is_enough_and_is_kept_to() {
    let place = Place::new();
    std::fs::write(place.path("plain"), text(40_000_000)).unwrap();
    let mut session = Session::start(&place, &["--memory-cap", "64MiB"]);
    for (form, ending) in FORMS {
        let level = if form == "brotli" { 1 } else { 3 };
        let level = if form == "lz4" { 1 } else { level };
        let dst = format!("plain.{ending}");
        let packed = session.call(&json!({
            "op": "compress", "id": "z", "src": "plain", "dst": dst, "level": level,
            "threads": 16,
        }));
        ok(&packed);
        let back = format!("back.{ending}");
        ok(&session.call(&json!({"op": "decompress", "id": "u", "src": dst, "dst": back})));
        assert!(read(&place.path(&back)) == read(&place.path("plain")), "{form}");
    }
    let large = session
        .call(&json!({"op": "compress", "id": "m", "src": "plain", "dst": "x.br", "level": 9}));
    assert_eq!(large["error"]["code"], "MEMORY", "{large}");
    let peak = session.memory("VmHWM:");
    assert!(peak <= 64 << 20, "{peak}");
    drop(session);
    let mut session = Session::start(&place, &["--memory-cap", "16MiB"]);
    ok(&session.call(&json!({"op": "compress", "id": "z", "src": "plain", "dst": "least.gz"})));
}

#[test]
fn a_cancel_leaves_nothing() {
    let place = Place::new();
    large_file(&place.path("big"), 64 << 20, 2).unwrap();
    let mut session = Session::start(&place, &["--progress-ms", "50"]);
    session.send(&json!({
        "op": "compress", "id": "c", "src": "big", "dst": "big.gz",
        "limits": {"bytes_per_s": "16MB"},
    }));
    session.until(|line| line["type"] == "progress" && line["bytes_done"].as_u64() > Some(0));
    assert_eq!(place.leftovers().len(), 1);
    session.send(&json!({"op": "cancel", "id": "k", "target": "c"}));
    assert_eq!(session.result("c")["status"], "cancelled");
    assert!(!place.path("big.gz").exists());
    assert_eq!(place.leftovers().len(), 0);
}

#[test]
fn killed_at_many_moments_the_name_is_whole_or_absent() {
    let place = Place::new();
    let plain = text(60_000_000);
    std::fs::write(place.path("plain"), &plain).unwrap();
    for round in 0..8u64 {
        let mut session = Session::start(&place, &[]);
        let dst = format!("p{round}.zst");
        session.send(&json!({"op": "compress", "id": "c", "src": "plain", "dst": dst}));
        session.until(|line| line["type"] == "state");
        std::thread::sleep(std::time::Duration::from_millis(5 + 40 * round));
        session.kill();
        if place.path(&dst).exists() {
            let tool =
                Command::new("zstd").args(["-dc", &dst]).current_dir(place.dir.path()).output();
            assert!(tool.unwrap().stdout == plain);
        }
        let mut session = Session::start(&place, &[]);
        let cleaned = session.call(&json!({"op": "cleanup", "id": "u"}));
        assert_eq!(cleaned["data"]["leftovers"], json!([]));
        assert_eq!(place.leftovers().len(), 0);
    }
}
