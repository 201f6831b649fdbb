//! A service asks for patience, seldom or always: a job ends well or says so, and answers with
//! patience, not with a storm of its own.

use migration_engine::error::Kind;
use migration_engine::model::version::Version;
use migration_engine::remote::call::Side;
use migration_fixtures::store::{Action, Dialect, Rule};
use serde_json::json;

use crate::bench::{Bench, DIALECTS, code, hasty};

/// Requests that may be on their way before a service's first word is heard.
const BURST: f64 = 8.0;

/// Copies so many files while `percent` of all requests are refused; requests, result, exit.
fn storm(dialect: Dialect, files: usize, percent: f64) -> (f64, serde_json::Value, i32) {
    let mut bench = Bench::new(dialect);
    for file in 0..files {
        bench.write(&format!("t/{file}"), format!("file {file}").as_bytes());
    }
    bench.rule(Rule::any().percent(percent, 7).then(Action::Throttle { retry_after: None }));
    let result = bench.copy(&json!("t"), &bench.at("t"), &json!({}));
    let requests = bench.server.log().entries().len() as f64;
    for key in bench.server.objects().keys("bucket") {
        let file = bench.file(&key).unwrap();
        assert!(bench.object(&key).unwrap() == file, "{key}");
    }
    let (exit, _) = bench.session.end();
    (requests, result, exit)
}

fn storms(files: usize, percent: f64) {
    let one = |dialect| {
        let (calm, result, exit) = storm(dialect, files, 0.0);
        assert_eq!((&result["status"], exit), (&json!("ok"), 0), "{result}");
        let (requests, result, exit) = storm(dialect, files, percent);
        let ideal = calm / (1.0 - percent / 100.0);
        assert!(requests <= 1.1 * ideal + BURST, "{dialect:?}: {requests} for {ideal}");
        match result["status"].as_str().unwrap() {
            "ok" => assert_eq!(exit, 0),
            status => {
                let failed = result["failures"].as_array().unwrap();
                assert!(failed.iter().all(|each| each["code"] == "THROTTLED"), "{result}");
                assert_eq!(exit, if status == "failed" { 75 } else { 3 }, "{result}");
            }
        }
    };
    std::thread::scope(|scope| {
        for dialect in DIALECTS {
            scope.spawn(move || one(dialect));
        }
    });
}

#[test]
fn a_tenth_is_refused() {
    storms(24, 10.0);
}

#[test]
fn half_is_refused() {
    storms(12, 50.0);
}

/// The real patience: ten attempts, whose growing waits take their while.
#[test]
fn all_is_refused() {
    let one = |dialect| {
        let (requests, result, exit) = storm(dialect, 12, 100.0);
        assert_eq!((code(&result), exit), ("THROTTLED", 75), "{result}");
        assert!(!result["error"]["hint"].as_str().unwrap().is_empty());
        assert!(requests <= 10.0 + BURST, "{dialect:?}: {requests}");
    };
    std::thread::scope(|scope| {
        for dialect in DIALECTS {
            scope.spawn(move || one(dialect));
        }
    });
}

#[test]
fn a_request_is_sent_as_often_as_it_may_be_and_no_more() {
    for dialect in DIALECTS {
        let bench = Bench::new(dialect);
        bench.rule(Rule::any().then(Action::Throttle { retry_after: None }));
        let ties = hasty();
        let store = bench.store(Side::Source, &ties);
        let looked = store.look("k").map(drop).unwrap_err().kind();
        let read = store.read("k", Version::default(), None).map(drop).unwrap_err().kind();
        assert_eq!((looked, read), (Kind::Throttled, Kind::Throttled), "{dialect:?}");
        let tries = u64::from(ties.tries.count);
        assert_eq!(bench.server.log().count(bench.names.look), tries, "{dialect:?}");
        assert_eq!(bench.server.log().count(bench.names.get), tries, "{dialect:?}");
    }
}
