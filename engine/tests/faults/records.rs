//! What a job's record says of its uploads: those that are on their way, and no others.

use migration_engine::endpoint::contract::{Becoming, Intake, ObjectSink, Shape, Target};
use migration_engine::journal::begun::Notes;
use migration_engine::model::choice::{Carry, Consent, Durable};
use migration_engine::model::item::Attributes;
use migration_engine::pipeline::gather::noted;
use migration_engine::remote::ties::Ties;
use migration_fixtures::store::{Action, Dialect, Rule};
use serde_json::json;

use crate::bench::{Bench, DIALECTS, PART, PARTS, bytes};
use crate::session::Session;

/// An upload with both of its parts, recorded.
fn begun(
    sink: &dyn ObjectSink,
    notes: &Notes,
    target: &Target,
    write: u32,
) -> (Box<dyn Intake>, Vec<u8>) {
    let (place, _) = sink.root_place().unwrap();
    let becoming = Becoming { target, attributes: &Attributes::default() };
    let shape = Shape::dense(PARTS as u64);
    let temp = format!(".mig-000000ff-{write}.part");
    let intake = sink.begin(&place, temp.as_bytes(), shape, becoming).unwrap();
    let token = noted(Some(notes), &*intake).unwrap().unwrap();
    let all = bytes(PARTS, 3);
    for (index, part) in all.chunks(PART).enumerate() {
        intake.write_part((index * PART) as u64, part, None).unwrap();
    }
    (intake, token)
}

#[test]
fn an_upload_that_is_over_is_told_so() {
    let attributes = Attributes::default();
    for dialect in [Dialect::S3, Dialect::Azure] {
        let bench = Bench::new(dialect);
        let ties = Ties::default();
        let record = bench.place.path("aaaaaaaa00000001.json");
        let notes = Notes::of(&record, ties.over.clone());
        let sink = bench.sink("f", &ties);
        let target = Target::new(b"f", Consent::New, Carry::default());
        let over = |token: &Vec<u8>| ties.over.take().contains(token);

        let (intake, token) = begun(&*sink, &notes, &target, 1);
        assert!(!over(&token), "{dialect:?}");
        let staged = intake.seal(PARTS as u64, &attributes, &target).unwrap();
        assert!(!over(&token), "{dialect:?}");
        sink.publish(vec![staged], Durable::PowerLoss).pop().unwrap().unwrap();
        assert!(over(&token), "{dialect:?}");

        let (intake, token) = begun(&*sink, &notes, &target, 2);
        intake.abort();
        assert!(over(&token), "{dialect:?}");

        // Refused: the name is taken.
        let (intake, token) = begun(&*sink, &notes, &target, 3);
        let staged = intake.seal(PARTS as u64, &attributes, &target).unwrap();
        sink.publish(vec![staged], Durable::PowerLoss).pop().unwrap().unwrap_err();
        assert!(over(&token), "{dialect:?}");
    }
}

#[test]
fn an_upload_that_cannot_be_given_up_stays_in_the_record() {
    let bench = Bench::new(Dialect::S3);
    let ties = Ties::default();
    let record = bench.place.path("aaaaaaaa00000001.json");
    let notes = Notes::of(&record, ties.over.clone());
    let target = Target::new(b"f", Consent::New, Carry::default());
    bench.rule(Rule::of("AbortMultipartUpload").then(Action::status(403, "AccessDenied")));
    let (intake, token) = begun(&*bench.sink("f", &ties), &notes, &target, 4);
    intake.abort();
    assert!(!ties.over.take().contains(&token) && ties.left.take().0);
}

/// A record lies beside that of its job: a clean-up reads both, and removes both. What the server had
/// not begun to read when the engine died, it never carries out.
#[test]
fn a_killed_jobs_uploads_are_found_and_its_record_goes() {
    for dialect in DIALECTS {
        let mut bench = Bench::new(dialect);
        bench.write("f", &bytes(3 * PARTS, 17));
        bench.rule(bench.of_part("f").from(2).then(Action::Delay { ms: 60_000 }));
        let dst = bench.in_parts("f");
        bench.session.send(&json!({"op": "copy", "id": "c", "src": "f", "dst": dst}));
        while bench.done(bench.names.part, "f") == 0 {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let next = Session::start(&bench.place, &[]);
        std::mem::replace(&mut bench.session, next).kill();
        bench.server.script().clear();
        let cleaned = bench.session.call(&json!({"op": "cleanup", "id": "u"}));
        assert_eq!((&cleaned["status"], &cleaned["data"]["jobs"]), (&json!("ok"), &json!(1)));
        assert!(bench.is_clean() || dialect == Dialect::Azure, "{dialect:?} {cleaned}");
        let again = bench.session.call(&json!({"op": "cleanup", "id": "v"}));
        assert_eq!(again["data"]["jobs"], 0, "{again}");
        let attempts = std::fs::read_dir(bench.place.state().join("attempts")).unwrap();
        assert_eq!(attempts.count(), 0, "{dialect:?}");
    }
}
