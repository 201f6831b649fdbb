//! The assistant's face: one object on standard output, whatever happens.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests arrange files by path and stop at the first surprise"
)]

mod binary;

use binary::{Place, Ran};
use serde_json::{Value, json};

const HELLO_SHA256: &str = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
const HELLO_SHA1: &str = "f572d396fae9206628714fb2ce00f72e94f2258f";
const HELLO_MD5: &str = "b1946ac92492d2347c6235b4d2611184";

/// The object of a run, with what every answer has checked.
fn answer(ran: &Ran) -> Value {
    let object = ran.object();
    let success = object["success"].as_bool().unwrap();
    assert_eq!(success, object["error"] == "", "{object}");
    assert_eq!(success, ran.code == 0, "{ran:?}");
    assert_eq!(success, ran.err.is_empty(), "{ran:?}");
    assert!(object["data"].is_object());
    object
}

fn done(ran: &Ran) -> Value {
    let object = answer(ran);
    assert_eq!(object["success"], true, "{object}");
    object["data"].clone()
}

fn failed(ran: &Ran) -> String {
    let object = answer(ran);
    assert_eq!((&object["success"], ran.code), (&json!(false), 1), "{object}");
    object["error"].as_str().unwrap().to_owned()
}

#[test]
fn version() {
    let data = done(&Place::new().run(["version"]));
    assert_eq!(data["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn copy_of_a_file_makes_parents_and_replaces() {
    let place = Place::new();
    place.write("a", "hello\n");
    place.write("to/b", "an older, longer content\n");
    for destination in ["to/b", "new/parents/b"] {
        let data = done(&place.run(["copy", "--source", "a", "--destination", destination]));
        assert_eq!(data["bytes_copied"], 6);
        assert_eq!((&data["checksum"], &data["success"]), (&json!(HELLO_SHA256), &json!(true)));
        assert!(data["duration_ms"].is_u64() && data["transfer_rate_mbps"].is_f64());
        assert_eq!(place.read(destination), b"hello\n");
    }
}

/// The digest of a directory is that of the manifest `checksum` writes about it.
#[test]
fn copy_of_a_directory_is_digested_as_its_manifest() {
    let place = Place::new();
    for name in ["in/z", "in/a\nb", "in/sub/m", "in/back\\slash"] {
        place.write(name, name);
    }
    let data = done(&place.run(["copy", "--source=in", "--destination=out"]));
    assert_eq!(place.read("out/sub/m"), b"in/sub/m");
    assert_eq!(place.run(["checksum", "in", "--manifest", "SUMS"]).code, 0);
    let list = done(&place.run(["checksum", "--files", "SUMS"]));
    assert_eq!(data["checksum"], list["results"][0]["sha256"]);
    let again = done(&place.run(["copy", "--source", "out", "--destination", "third"]));
    assert_eq!(again["checksum"], data["checksum"]);
}

#[test]
fn what_cannot_be_copied_fails_with_an_object() {
    let place = Place::new();
    place.write("a", "hello\n");
    let error = failed(&place.run(["copy", "--source", "absent", "--destination", "b"]));
    assert!(error.contains("SRC_NOT_FOUND") && error.contains("absent"), "{error}");
    let error = failed(&place.run(["copy", "--source", "a", "--destination", "a"]));
    assert!(error.contains("OVERLAP"), "{error}");
    let error = failed(&place.run(["copy", "--source", "a"]));
    assert!(error.contains("--destination"), "{error}");
    failed(&place.run(["transfer"]));
}

#[test]
fn checksums_come_in_the_order_given_with_an_error_each() {
    let place = Place::new();
    place.write("a", "hello\n");
    place.write("empty", "");
    std::fs::create_dir(place.path("dir")).unwrap();
    let names = ["empty", "absent", "a", "dir", "a"];
    let ran = place.run(["checksum", "--files"].iter().chain(&names));
    assert_eq!(ran.code, 0);
    let object = ran.object();
    assert_eq!((&object["success"], &object["data"]["success"]), (&json!(true), &json!(false)));
    let results = object["data"]["results"].as_array().unwrap();
    let files: Vec<_> = results.iter().map(|result| result["file"].as_str().unwrap()).collect();
    assert_eq!(files, names);
    let errors: Vec<_> = results.iter().map(|result| result.get("error").is_some()).collect();
    assert_eq!(errors, [false, true, false, true, false]);
    let hello = json!({
        "file": "a", "md5": HELLO_MD5, "sha1": HELLO_SHA1, "sha256": HELLO_SHA256, "size": 6,
    });
    assert_eq!((&results[2], &results[4]), (&hello, &hello));
    assert_eq!(results[0]["size"], 0);
}

/// More files than any list in a result holds, and more than one job at once.
#[test]
fn every_one_of_many_files_has_its_answer() {
    let place = Place::new();
    let names: Vec<String> = (0..1500).map(|n| format!("f{n}")).collect();
    names.iter().for_each(|name| place.write(name, name));
    let arguments = ["checksum", "--files"].into_iter().chain(names.iter().map(String::as_str));
    let data = done(&place.run(arguments));
    let results = data["results"].as_array().unwrap();
    assert_eq!(results.len(), names.len());
    assert!(results.iter().zip(&names).all(|(result, name)| result["file"] == *name));
    assert!(results.iter().all(|result| result["sha256"].as_str().unwrap().len() == 64));
}

#[test]
fn compress_is_told_by_the_extension() {
    let place = Place::new();
    place.write("a", "hello ".repeat(1000));
    place.write("b.gz", "older");
    for destination in ["b.gz", "c.gzip", "d"] {
        let data = done(&place.run(["compress", "--source", "a", "--destination", destination]));
        assert_eq!((&data["method"], &data["original_size"]), (&json!("gzip"), &json!(6000)));
        let stored = place.read(destination);
        assert_eq!(data["compressed_size"], stored.len());
        let ratio = data["compression_ratio"].as_f64().unwrap();
        assert!((ratio - stored.len() as f64 / 6000.0).abs() < 1e-9);
        let mut text = String::new();
        let mut decoder = flate2::read::GzDecoder::new(stored.as_slice());
        std::io::Read::read_to_string(&mut decoder, &mut text).unwrap();
        assert_eq!(text.into_bytes(), place.read("a"));
    }
}

#[test]
fn every_method_packs_files_and_directories() {
    let place = Place::new();
    place.write("a", "hello ".repeat(1000));
    std::fs::create_dir(place.path("dir")).unwrap();
    place.write("dir/b", "hello ".repeat(1000));
    let all = [
        ("gz", "gzip", &["gzip", "-dc"][..]),
        ("gzip", "gzip", &["gzip", "-dc"]),
        ("zst", "zstd", &["zstd", "-dc"]),
        ("zstd", "zstd", &["zstd", "-dc"]),
        ("tar", "tar", &["cat"]),
        ("tar.gz", "tar.gz", &["gzip", "-dc"]),
        ("tar.zst", "tar.zst", &["zstd", "-dc"]),
    ];
    for (extension, method, reads) in all {
        for source in ["a", "dir"] {
            let name = format!("{source}.{extension}");
            let data = done(&place.run(["compress", "--source", source, "--destination", &name]));
            assert_eq!((&data["method"], &data["original_size"]), (&json!(method), &json!(6000)));
            assert_eq!(data["compressed_size"], place.read(&name).len());
            let mut tool = std::process::Command::new(reads[0]);
            let stored = std::fs::File::open(place.path(&name)).unwrap();
            let plain = tool.args(&reads[1..]).stdin(stored).output().unwrap().stdout;
            if source == "dir" || extension.starts_with("tar") {
                std::fs::write(place.path("plain.tar"), plain).unwrap();
                let mut tar = std::process::Command::new("tar");
                let wanted = if source == "dir" { "b" } else { "a" };
                tar.args(["-xOf", "plain.tar", wanted]).current_dir(place.path("."));
                assert_eq!(tar.output().unwrap().stdout, place.read("a"), "{name}");
            } else {
                assert_eq!(plain, place.read("a"), "{name}");
            }
        }
    }
}

#[test]
fn methods_that_are_not_known_or_do_not_fit_say_so_and_touch_nothing() {
    let place = Place::new();
    place.write("a", "hello\n");
    failed(&place.run(["compress", "--source", "absent", "--destination", "b.gz"]));
    for (method, source) in [
        ("http", "a"),
        ("http", "s3://bucket/a"),
        ("https", "http://127.0.0.1:9/a"),
        ("https", "https:/a"),
        ("pigeon", "a"),
    ] {
        let ran =
            place.run(["transfer", "--source", source, "--destination", "b", "--method", method]);
        let error = failed(&ran);
        assert!(error.contains(&format!("the method {method} ")), "{error}");
        let data = &ran.object()["data"];
        assert_eq!((&data["method"], &data["error"]), (&json!(method), &json!(error)));
    }
    assert!(!place.path("b").exists() && !place.path("b.gz").exists());
}

#[test]
fn transfer_copies() {
    let place = Place::new();
    place.write("in/a", "hello\n");
    for method in ["concurrent", "chunked"] {
        let arguments = ["transfer", "--source", "in", "--destination", method, "--method", method];
        let data = done(&place.run(arguments));
        assert_eq!((&data["bytes_transferred"], &data["method"]), (&json!(6), &json!(method)));
        assert_eq!((&data["success"], &data["error"]), (&json!(true), &json!("")));
        assert_eq!(place.read(format!("{method}/a")), b"hello\n");
    }
}

/// A file in the directory of the web server that `scripts/services.sh env` tells of.
struct Served(std::path::PathBuf);

impl Served {
    fn new(content: &[u8]) -> Self {
        let name = format!("assistant-{}-{}", std::process::id(), content.len());
        let this = Self(std::path::Path::new(&variable("TEST_HTTP_ROOT")).join(name));
        std::fs::write(&this.0, content).unwrap();
        this
    }

    fn url(&self, endpoint: &str) -> String {
        let name = self.0.file_name().unwrap().to_str().unwrap();
        format!("{}/{name}?signature=hunter2", variable(endpoint))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(&self.0);
    }
}

fn variable(name: &str) -> String {
    let missing = |_| panic!("{name} is not set: eval \"$(scripts/services.sh env)\"");
    std::env::var(name).unwrap_or_else(missing)
}

#[test]
fn transfer_fetches_from_web_servers() {
    let place = Place::new();
    let content: Vec<u8> = (0..2_500_000_u32).flat_map(u32::to_le_bytes).collect();
    for content in [&content[..], b"hello\n", b""] {
        let served = Served::new(content);
        place.write("older", "an older file");
        for (method, endpoint, destination) in [
            ("http", "TEST_HTTP_ENDPOINT", "older"),
            ("http", "TEST_HTTPS_ENDPOINT", "new/parents/a"),
            ("https", "TEST_HTTPS_ENDPOINT", "new/parents/a"),
        ] {
            let url = served.url(endpoint);
            let arguments = ["transfer", "--source", &url, "--destination", destination];
            let mut command = place.command(arguments.iter().chain(&["--method", method]));
            let ran = Ran::of(command.env("SSL_CERT_FILE", variable("TEST_HTTPS_CA")));
            let data = done(&ran);
            assert_eq!((&data["method"], &data["error"]), (&json!(method), &json!("")));
            assert_eq!(
                (&data["success"], &data["bytes_transferred"]),
                (&json!(true), &json!(content.len()))
            );
            assert!(data["duration_ms"].is_u64() && data["transfer_rate_mbps"].is_f64());
            assert!(place.read(destination) == content);
        }
    }
}

/// What fails says so without the signature, and leaves what stands there.
#[test]
fn what_a_web_server_refuses_is_told_without_the_signature() {
    let place = Place::new();
    place.write("b", "an older file");
    let served = Served::new(b"refused");
    let gone = served.url("TEST_HTTP_ENDPOINT").replace("assistant", "absent");
    for (url, code) in [
        (gone, "SRC_NOT_FOUND"),
        (served.url("TEST_HTTPS_ENDPOINT"), "TLS_REFUSED"),
        (served.url("TEST_HTTPS_WRONG_NAME_ENDPOINT"), "TLS_REFUSED"),
    ] {
        let arguments = ["transfer", "--source", &url, "--destination", "b", "--method", "http"];
        let mut command = place.command(arguments);
        // The made-up authority is not trusted here, whoever else runs this may trust it.
        let ran = Ran::of(command.env_remove("SSL_CERT_FILE"));
        let error = failed(&ran);
        assert!(error.contains(code), "{error}");
        assert!(!ran.text().contains("hunter2") && !ran.err.contains("hunter2"), "{ran:?}");
        assert_eq!(ran.object()["data"]["success"], json!(false));
        assert_eq!(place.read("b"), b"an older file");
    }
}

#[test]
fn monitor_has_the_shape_of_the_table() {
    let data = done(&Place::new().run(["monitor"]));
    let names: Vec<_> = data.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["cpu", "disk", "go_runtime", "memory", "network", "timestamp"]);
    assert_eq!(data["cpu"]["usage_percent"].as_array().unwrap().len(), data["cpu"]["count"]);
    assert!(data["memory"]["total"].as_u64() > Some(0));
    assert!(data["go_runtime"]["pid"].as_u64() > Some(0));
    assert!(data["network"]["bytes_sent"].is_u64() && data["timestamp"].is_string());
}

/// With other flags the same verbs answer people and hosts.
#[test]
fn the_other_faces_stay() {
    let place = Place::new();
    let lines = place.run(["monitor", "--json"]).lines();
    assert_eq!((&lines[0]["type"], &lines[1]["type"]), (&json!("hello"), &json!("accepted")));
    assert!(place.run(["version", "--json"]).object().get("success").is_none());
    assert!(place.run(["monitor", "--interval", "200ms", "--count", "1"]).text().contains("cpu"));
}

#[test]
fn names_that_are_not_utf8_and_settings_count_here_too() {
    use std::os::unix::ffi::OsStringExt as _;
    let place = Place::new();
    let odd = std::ffi::OsString::from_vec(b"odd\xff".to_vec());
    place.write(&odd, "hello\n");
    let arguments = ["copy".into(), "--source".into(), odd, "--destination".into(), "b".into()];
    assert_eq!(done(&place.run::<std::ffi::OsString>(arguments))["checksum"], HELLO_SHA256);
    place.write("migration-engine.toml", "jobs = 0");
    let error = failed(&place.run(["copy", "--source", "b", "--destination", "c"]));
    assert!(error.contains("jobs"), "{error}");
}
