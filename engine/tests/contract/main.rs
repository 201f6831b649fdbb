//! The suite every endpoint must pass, its cases chosen by what the endpoint says it can do.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "tests make and judge the files they use"
)]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

mod stores;

use migration_engine::endpoint::contract::{
    Again, Becoming, Descend, Intake, ObjectSink, ObjectSource, Original, Place, Shape, Staged,
    Target, Visitor,
};
use migration_engine::endpoint::{SCHEMES, Scheme};
use migration_engine::error::{EngineError, Kind, Result};
use migration_engine::model::choice::{Carry, Consent, Durable, LinkPolicy};
use migration_engine::model::found::Mark;
use migration_engine::model::item::{Attributes, Item, ItemKind, Timestamp};
use migration_engine::model::location::Location;
use migration_engine::model::loss::What;
use migration_engine::model::parts::PartHasher;
use migration_engine::model::path::ItemPath;
use migration_engine::model::selection::Selection;
use migration_engine::remote::ties::Ties;
use migration_fixtures::Content;

/// An endpoint under test, with an empty place of its own.
struct Bench {
    scheme: &'static Scheme,
    root: Location,
    /// Which server it is, for messages.
    label: String,
    _scratch: tempfile::TempDir,
}

static NUMBERS: AtomicU64 = AtomicU64::new(1);

fn next_number() -> u64 {
    NUMBERS.fetch_add(1, Ordering::Relaxed)
}

/// Begins a file for cases that never look at its name.
fn begin(sink: &dyn ObjectSink, place: &Place, temp: &[u8], shape: Shape) -> Box<dyn Intake> {
    let target = Target::new(b"f", Consent::New, Carry::PLAIN);
    let becoming = Becoming { target: &target, attributes: &Attributes::default() };
    sink.begin(place, temp, shape, becoming).unwrap()
}

/// Writes all bytes in the way that the intake takes them, out of order.
fn write(intake: &dyn Intake, bytes: &[u8]) {
    let hash = |offset: usize, bytes: &[u8]| {
        let mut hasher = PartHasher::new(intake.part_digest()?, offset as u64)?;
        hasher.update(bytes);
        Some(hasher.finish())
    };
    let Some(part) = intake.part_bytes().map(|part| part as usize) else {
        for (n, chunk) in bytes.chunks(1000).enumerate().collect::<Vec<_>>().into_iter().rev() {
            intake.write_at(n as u64 * 1000, chunk).unwrap();
        }
        return;
    };
    if bytes.len() <= part {
        return intake.hold(Box::new(bytes.to_vec()), hash(0, bytes)).unwrap();
    }
    for (n, chunk) in bytes.chunks(part).enumerate().collect::<Vec<_>>().into_iter().rev() {
        intake.write_part((n * part) as u64, chunk, hash(n * part, chunk)).unwrap();
    }
}

/// Runs a case against every endpoint.
fn each(name: &str, case: impl Fn(&Bench)) {
    for scheme in SCHEMES.iter().filter(|scheme| scheme.writes) {
        for (label, root, scratch) in stores::roots(scheme.name, name) {
            case(&Bench { scheme, root, label, _scratch: scratch });
        }
    }
}

impl Bench {
    fn sink(&self) -> Box<dyn ObjectSink> {
        (self.scheme.sink)(&self.root, &Ties::default()).unwrap()
    }

    fn source(&self) -> Result<Box<dyn ObjectSource>> {
        (self.scheme.source)(&self.root, &Ties::default())
    }

    fn stage(
        &self,
        sink: &dyn ObjectSink,
        place: &Place,
        name: &str,
        bytes: &[u8],
        consent: Consent,
    ) -> Staged {
        let attributes = Attributes {
            mode: 0o640,
            mtime: Timestamp::new(1_000_000_000, 123),
            ..Attributes::default()
        };
        let target = Target::new(name.as_bytes(), consent, Carry::PLAIN);
        let becoming = Becoming { target: &target, attributes: &attributes };
        let shape = Shape::dense(bytes.len() as u64);
        let temp = format!(".mig-00000000-{}.part", next_number());
        let intake = sink.begin(place, temp.as_bytes(), shape, becoming).unwrap();
        write(&*intake, bytes);
        intake.seal(bytes.len() as u64, &attributes, &target).unwrap()
    }

    fn put(&self, name: &str, bytes: &[u8], consent: Consent) -> Result<()> {
        let sink = self.sink();
        let place = sink.root_directory().unwrap();
        let staged = self.stage(&*sink, &place, name, bytes, consent);
        sink.publish(vec![staged], Durable::PowerLoss).pop().unwrap()
    }

    /// Leave to replace what stands there now.
    fn seen(&self, name: &str) -> Consent {
        let sink = self.sink();
        let place = sink.root_directory().unwrap();
        Consent::Replace(sink.found(&place, name.as_bytes()).unwrap().unwrap().mark)
    }

    fn get(&self, name: &str) -> Option<Vec<u8>> {
        let source = self.source().ok()?;
        let item = source.find(&ItemPath::parse(name.as_bytes()).unwrap()).unwrap()?;
        Some(read(&*source, &item))
    }
}

fn read(source: &dyn ObjectSource, item: &Item) -> Vec<u8> {
    let reader = source.open(item).unwrap();
    let mut all = Vec::new();
    let mut buffer = [0; 777];
    loop {
        match reader.read_at(all.len() as u64, &mut buffer).unwrap() {
            0 => break,
            count => all.extend_from_slice(&buffer[..count]),
        }
    }
    assert!(reader.unchanged().unwrap());
    all
}

fn content(bytes: usize) -> Vec<u8> {
    let mut all = vec![0; bytes];
    Content::new(5, bytes as u64).fill(0, &mut all);
    all
}

#[derive(Default)]
struct Seen {
    items: BTreeSet<Vec<u8>>,
    entered: Vec<Vec<u8>>,
    left: usize,
    skip: Option<Vec<u8>>,
}

impl Visitor for Seen {
    fn enter(&mut self, directory: Item) -> Result<Descend> {
        assert_eq!(directory.kind, ItemKind::Directory);
        if self.skip.as_deref() == Some(directory.path.as_bytes()) {
            return Ok(Descend::Skip);
        }
        self.entered.push(directory.path.as_bytes().to_vec());
        Ok(Descend::Into)
    }

    fn item(&mut self, item: Item) -> Result<()> {
        let parent = item.path.as_bytes().iter().rposition(|b| *b == b'/').unwrap_or(0);
        let parent = &item.path.as_bytes()[..parent];
        assert!(self.entered.iter().any(|dir| dir == parent), "{item:?} before its directory");
        assert!(self.items.insert(item.path.as_bytes().to_vec()), "{item:?} twice");
        Ok(())
    }

    fn leave(&mut self) -> Result<()> {
        self.left += 1;
        Ok(())
    }

    fn failed(&mut self, path: &ItemPath, error: EngineError) -> Result<()> {
        panic!("{path:?}: {error}");
    }
}

#[test]
fn what_is_published_is_read_back_exactly_at_every_size() {
    each("sizes", |bench| {
        for bytes in [0, 1, 776, 777, 778, 999, 1000, 1001, 1 << 20, (3 << 20) + 17] {
            let (name, data) = (format!("f{bytes}"), content(bytes));
            bench.put(&name, &data, Consent::New).unwrap();
            assert!(bench.get(&name).unwrap() == data, "{} {bytes}", bench.scheme.name);
        }
    });
}

#[test]
fn nothing_is_seen_before_publication() {
    each("unseen", |bench| {
        let sink = bench.sink();
        let place = sink.root_directory().unwrap();
        let staged = bench.stage(&*sink, &place, "f", b"new", Consent::New);
        assert_eq!(bench.get("f"), None);
        sink.discard(staged);
        assert_eq!(bench.get("f"), None);
        let intake = begin(&*sink, &place, b".mig-00000000-9.part", Shape::dense(3));
        write(&*intake, b"new");
        intake.abort();
        let mut seen = Seen::default();
        if let Ok(source) = bench.source() {
            let all = Selection::default();
            let surveyed = source.survey(&all, LinkPolicy::Preserve, &mut seen);
            assert!(surveyed.is_ok() || !bench.scheme.caps.directories);
        }
        assert_eq!(seen.items, BTreeSet::new(), "{}", bench.scheme.name);
    });
}

#[test]
fn a_taken_name_is_kept_without_consent_and_replaced_whole_with_it() {
    each("consent", |bench| {
        assert!(bench.scheme.caps.atomic_noreplace);
        bench.put("f", b"first and longer", Consent::New).unwrap();
        let refused = bench.put("f", b"second", Consent::New).unwrap_err();
        assert_eq!(refused.kind(), Kind::DestinationExists);
        assert_eq!(bench.get("f").unwrap(), b"first and longer");
        let seen = bench.seen("f");
        bench.put("f", b"third", seen).unwrap();
        assert_eq!(bench.get("f").unwrap(), b"third");
        let refused = bench.put("f", b"fourth", seen).unwrap_err();
        assert_eq!(refused.kind(), Kind::DestinationChanged, "only what was seen is replaced");
        assert_eq!(bench.get("f").unwrap(), b"third");
        bench.put("gone", b"it is free by now", seen).unwrap();
        let mut listed = Seen::default();
        let all = Selection::default();
        bench.source().unwrap().survey(&all, LinkPolicy::Preserve, &mut listed).unwrap();
        assert_eq!(listed.items.len(), 2, "no temporary name stays: {:?}", listed.items);
    });
}

/// The publishing step itself decides: all are staged before any is published.
#[test]
fn of_racing_publications_one_wins() {
    each("race", |bench| {
        let sink = bench.sink();
        let place = sink.root_directory().unwrap();
        let one = |n: u8| {
            let temp = format!(".mig-00000000-{n}.part");
            let intake = begin(&*sink, &place, temp.as_bytes(), Shape::dense(4));
            write(&*intake, &[n; 4]);
            let target = Target::new(b"f", Consent::New, Carry::PLAIN);
            intake.seal(4, &Attributes::default(), &target).unwrap()
        };
        let staged: Vec<Staged> = (0..16).map(one).collect();
        let results = std::thread::scope(|scope| {
            let sink = &*sink;
            let publish = |staged| {
                scope.spawn(move || sink.publish(vec![staged], Durable::Crash).pop().unwrap())
            };
            let threads: Vec<_> = staged.into_iter().map(publish).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
        let bytes = bench.get("f").unwrap();
        assert!(results[usize::from(bytes[0])].is_ok() && bytes == [bytes[0]; 4]);
    });
}

#[test]
fn a_batch_answers_for_each_in_order() {
    each("batch", |bench| {
        bench.put("f3", b"taken", Consent::New).unwrap();
        let sink = bench.sink();
        let place = sink.root_directory().unwrap();
        for (durable, prefix) in [(Durable::PowerLoss, "f"), (Durable::Crash, "g")] {
            let stage = |n: usize| {
                bench.stage(&*sink, &place, &format!("{prefix}{n}"), &content(n), Consent::New)
            };
            let results = sink.publish((0..40).map(stage).collect(), durable);
            for (n, result) in results.iter().enumerate() {
                assert_eq!(result.is_err(), prefix == "f" && n == 3, "{n}: {result:?}");
            }
        }
        sink.settle().unwrap();
        assert_eq!(bench.get("f39").unwrap(), content(39));
        assert_eq!(bench.get("f3").unwrap(), b"taken");
    });
}

#[test]
fn a_survey_tells_directories_first_and_everything_once() {
    each("survey", |bench| {
        let sink = bench.sink();
        let root = sink.root_directory().unwrap();
        let mut expected = BTreeSet::new();
        for dir in ["a", "b", "a.b"] {
            let place = sink.enter(&root, dir.as_bytes()).unwrap();
            let deep = sink.enter(&place, b"deep").unwrap();
            for (at, name) in [(&place, "x"), (&place, "y"), (&deep, "z")] {
                let staged = bench.stage(&*sink, at, name, b"1", Consent::New);
                sink.publish(vec![staged], Durable::Crash).pop().unwrap().unwrap();
                let below = if std::ptr::eq(at, &deep) { "deep/" } else { "" };
                expected.insert(format!("{dir}/{below}{name}").into_bytes());
            }
        }
        let source = bench.source().unwrap();
        let mut seen = Seen::default();
        source.survey(&Selection::default(), LinkPolicy::Preserve, &mut seen).unwrap();
        assert_eq!((seen.items, seen.left), (expected.clone(), 7), "{}", bench.scheme.name);
        let mut some = Seen::default();
        let only = Selection::new(&["x".into(), "z".into()], &["b".into()]).unwrap();
        source.survey(&only, LinkPolicy::Preserve, &mut some).unwrap();
        let names: Vec<_> = some.items.iter().map(|name| String::from_utf8_lossy(name)).collect();
        assert_eq!(names, ["a.b/deep/z", "a.b/x", "a/deep/z", "a/x"]);
        let mut without = Seen { skip: Some(b"a".to_vec()), ..Seen::default() };
        source.survey(&Selection::default(), LinkPolicy::Preserve, &mut without).unwrap();
        assert_eq!(without.items.len(), 6);
    });
}

#[test]
fn a_replaced_source_is_seen_as_changed() {
    each("changed", |bench| {
        bench.put("f", b"old", Consent::New).unwrap();
        let source = bench.source().unwrap();
        let item = source.find(&ItemPath::parse(b"f").unwrap()).unwrap().unwrap();
        let reader = source.open(&item).unwrap();
        assert!(reader.unchanged().unwrap());
        bench.put("f", b"new and longer", bench.seen("f")).unwrap();
        let mut buffer = [0; 3];
        assert_eq!(reader.read_at(0, &mut buffer).unwrap(), 3);
        // What was opened is read to its end as one state, or said to have changed.
        assert!(buffer == *b"old" || !reader.unchanged().unwrap());
    });
}

#[test]
fn attributes_are_kept_where_the_endpoint_keeps_them() {
    each("attributes", |bench| {
        bench.put("f", b"x", Consent::New).unwrap();
        let source = bench.source().unwrap();
        let item = source.find(&ItemPath::parse(b"f").unwrap()).unwrap().unwrap();
        assert_eq!(item.attributes.mtime, Timestamp::new(1_000_000_000, 123));
        if bench.scheme.caps.attributes {
            assert_eq!(item.attributes.mode, 0o640);
        }
        // Also where the answer that brings the content does not tell them.
        let (_, attributes) = source.open(&item).unwrap().facts();
        assert_eq!(attributes.mtime, item.attributes.mtime, "{}", bench.label);
        assert_eq!(attributes.mode, item.attributes.mode, "{}", bench.label);
    });
}

/// Or a copy would never have the time of what it was made from, and be made anew each time.
#[test]
fn a_time_that_nobody_wrote_is_the_same_before_and_while_it_is_read() {
    each("untimed", |bench| {
        let sink = bench.sink();
        let place = sink.root_directory().unwrap();
        let attributes = Attributes::default();
        let carry = Carry { times: false, ..Carry::PLAIN };
        let target = Target::new(b"f", Consent::New, carry);
        let becoming = Becoming { target: &target, attributes: &attributes };
        let temp = format!(".mig-00000000-{}.part", next_number());
        let intake = sink.begin(&place, temp.as_bytes(), Shape::dense(1), becoming).unwrap();
        write(&*intake, b"x");
        let staged = intake.seal(1, &attributes, &target).unwrap();
        sink.publish(vec![staged], Durable::PowerLoss).pop().unwrap().unwrap();
        let source = bench.source().unwrap();
        let item = source.find(&ItemPath::parse(b"f").unwrap()).unwrap().unwrap();
        let (_, attributes) = source.open(&item).unwrap().facts();
        assert!(item.attributes.mtime.0 > 0, "{}", bench.label);
        assert_eq!(attributes.mtime, item.attributes.mtime, "{}", bench.label);
    });
}

#[test]
fn a_written_file_is_read_back_before_publication() {
    each("readback", |bench| {
        if !bench.scheme.caps.reads_back {
            return;
        }
        let sink = bench.sink();
        let place = sink.root_directory().unwrap();
        let data = content(2_500_000);
        let shape = Shape::dense(data.len() as u64);
        let intake = begin(&*sink, &place, b".mig-00000000-0.part", shape);
        intake.write_at(0, &data).unwrap();
        intake.sync().unwrap();
        for device in [false, true] {
            let mut back = vec![0; data.len() + 9];
            let mut at = 0;
            while let count @ 1.. = intake.read_at(at as u64, &mut back[at..], device).unwrap() {
                at += count;
            }
            assert!(back[..at] == data, "{} {device}", bench.scheme.name);
        }
        intake.abort();
    });
}

#[test]
fn what_is_not_written_of_a_sparse_file_reads_as_zeros() {
    each("sparse", |bench| {
        if !bench.scheme.caps.random_writes {
            return;
        }
        let sink = bench.sink();
        let place = sink.root_directory().unwrap();
        let shape = Shape { sparse: true, ..Shape::dense(5 << 20) };
        let intake = begin(&*sink, &place, b".mig-00000000-0.part", shape);
        intake.write_at(2 << 20, b"data").unwrap();
        let target = Target::new(b"f", Consent::New, Carry::PLAIN);
        let staged = intake.seal(5 << 20, &Attributes::default(), &target).unwrap();
        sink.publish(vec![staged], Durable::Crash).pop().unwrap().unwrap();
        let mut expected = vec![0; 5 << 20];
        expected[2 << 20..][..4].copy_from_slice(b"data");
        assert!(bench.get("f").unwrap() == expected, "{}", bench.scheme.name);
    });
}

#[test]
fn a_begun_file_is_gone_on_with_only_while_it_is_the_same() {
    each("adopt", |bench| {
        if !bench.scheme.caps.random_writes {
            return;
        }
        let sink = bench.sink();
        let place = sink.root_directory().unwrap();
        let (old, new, shape) = (b".mig-00000000-0.part", b".mig-11111111-0.part", Shape::dense(8));
        let intake = begin(&*sink, &place, old, shape);
        intake.write_at(0, b"half").unwrap();
        let mark = intake.mark().unwrap();
        // As after a kill: nobody removes it.
        std::mem::forget(intake);
        let target = Target::new(b"f", Consent::New, Carry::PLAIN);
        let becoming = Becoming { target: &target, attributes: &Attributes::default() };
        let adopt = |old: &[u8], mark| sink.adopt(&place, old, new, mark, shape, becoming);
        let other = Mark { ino: mark.ino + 1, ..mark };
        assert!(adopt(old, other).unwrap().is_none());
        assert!(adopt(b".mig-00000000-9.part", mark).unwrap().is_none());
        let Some(intake) = adopt(old, mark).unwrap() else {
            return assert_eq!(bench.scheme.name, "memory", "only memory dies with its process");
        };
        intake.write_at(4, b"more").unwrap();
        let target = Target::new(b"f", Consent::New, Carry::PLAIN);
        let staged = intake.seal(8, &Attributes::default(), &target).unwrap();
        sink.publish(vec![staged], Durable::Crash).pop().unwrap().unwrap();
        assert_eq!(bench.get("f").unwrap(), b"halfmore");
    });
}

#[test]
fn what_does_not_exist_is_said_not_to() {
    each("missing", |bench| {
        let source = match bench.source() {
            Err(error) => return assert_eq!(error.kind(), Kind::SourceNotFound),
            Ok(source) => source,
        };
        let error = source
            .survey(&Selection::default(), LinkPolicy::Preserve, &mut Seen::default())
            .unwrap_err();
        assert_eq!(error.kind(), Kind::SourceNotFound);
    });
}

#[test]
fn a_file_is_no_directory() {
    each("kinds", |bench| {
        bench.put("f", b"x", Consent::New).unwrap();
        let sink = bench.sink();
        let root = sink.root_directory().unwrap();
        let error = sink.enter(&root, b"f").unwrap_err();
        assert_eq!(error.kind(), Kind::DestinationType);
        let found = sink.found(&root, b"f").unwrap().unwrap();
        assert_eq!((found.kind, found.size), (ItemKind::File, 1));
        assert_eq!(sink.found(&root, b"g").unwrap(), None);
    });
}

/// Parts that a dead attempt sent are known by the store's own checksums, and not sent again.
#[test]
fn parts_of_a_dead_attempt_stand_or_are_sent_again() {
    each("parts", |bench| {
        let sink = bench.sink();
        let place = sink.root_directory().unwrap();
        let part = match sink.part_bytes(12 << 20) {
            Some(part) => part as usize,
            None => return,
        };
        let data = content(2 * part + 17);
        let shape = Shape::dense(data.len() as u64);
        let digest = |intake: &dyn Intake, n: usize| {
            let chunk = data.chunks(part).nth(n).unwrap();
            let mut hasher = PartHasher::new(intake.part_digest()?, (n * part) as u64)?;
            hasher.update(chunk);
            Some(hasher.finish())
        };
        let send = |intake: &dyn Intake, n: usize| {
            let chunk = data.chunks(part).nth(n).unwrap();
            intake.write_part((n * part) as u64, chunk, digest(intake, n)).unwrap();
        };
        let intake = begin(&*sink, &place, b".mig-00000000-0.part", shape);
        let token = intake.token().unwrap().unwrap();
        [2, 0].into_iter().for_each(|n| send(&*intake, n));
        let tags: Vec<_> = (0..3).map(|n| intake.part_tag((n * part) as u64)).collect();
        assert_eq!(bench.get("f"), None, "{}", bench.label);
        // As after a kill: nobody removes it.
        std::mem::forget(intake);
        let target = Target::new(b"f", Consent::New, Carry::PLAIN);
        let becoming = Becoming { target: &target, attributes: &Attributes::default() };
        let adopt = |old: &[u8]| {
            let new = b".mig-11111111-0.part";
            sink.adopt(&place, old, new, Mark::default(), shape, becoming).unwrap()
        };
        assert!(adopt(b".mig-00000000-0.part").is_none(), "{}", bench.label);
        let intake = adopt(&token).expect("the upload is there");
        let stands = |n: usize, digest| {
            let length = data.chunks(part).nth(n).unwrap().len();
            let tag = tags[n].as_deref();
            intake.stands((n * part) as u64, length as u64, digest, tag).unwrap()
        };
        for n in 0..3 {
            let known = digest(&*intake, n).is_some_and(|digest| stands(n, digest) == Some(true));
            assert!(n != 1 || !known, "{}: it was never sent", bench.label);
            if !known {
                send(&*intake, n);
            }
        }
        let staged = intake.seal(shape.bytes, &Attributes::default(), &target).unwrap();
        sink.publish(vec![staged], Durable::Crash).pop().unwrap().unwrap();
        assert!(bench.get("f").unwrap() == data, "{}", bench.label);
    });
}

/// Of what is written a name more is made, before and after publication; of what is gone, none.
#[test]
fn a_further_name_is_the_same_item() {
    each("again", |bench| {
        let sink = bench.sink();
        let place = sink.root_directory().unwrap();
        let staged = bench.stage(&*sink, &place, "f", b"content", Consent::New);
        let path = ItemPath::parse(b"f").unwrap();
        let original = Original { path, temp: sink.temp_of(&staged), mark: staged.mark };
        let again = |n: u8, original: &Original| {
            let (temp, name) = (format!(".mig-00000000-7{n}.part"), format!("again{n}"));
            let target = Target::new(name.as_bytes(), Consent::New, Carry::PLAIN);
            sink.again(&place, temp.as_bytes(), original, &target).unwrap()
        };
        let publish = |staged| sink.publish(vec![staged], Durable::PowerLoss).pop().unwrap();
        let early = match again(0, &original) {
            Again::Made(staged) => *staged,
            Again::Unable(loss) => {
                assert!(!bench.scheme.caps.links && loss.what == What::HardLinks);
                return;
            }
            Again::Gone(loss) => panic!("{loss:?}"),
        };
        publish(early).unwrap();
        assert_eq!(bench.get("f"), None);
        publish(staged).unwrap();
        let Again::Made(late) = again(1, &original) else { panic!("it is published") };
        assert!(late.mark == original.mark);
        publish(*late).unwrap();
        for name in ["f", "again0", "again1"] {
            let found = sink.found(&place, name.as_bytes()).unwrap().unwrap();
            assert_eq!(
                (found.mark, bench.get(name).unwrap()),
                (original.mark, b"content".to_vec())
            );
        }
        bench.put("f", b"another", bench.seen("f")).unwrap();
        assert!(matches!(again(2, &original), Again::Gone(_)), "another file has the name");
        let same = Original { path: ItemPath::parse(b"again0").unwrap(), ..original };
        let Again::Made(over) = again(0, &same) else { panic!("it stands there") };
        publish(Staged { consent: Consent::Replace(same.mark), ..*over }).unwrap();
        let mut seen = Seen::default();
        let all = Selection::default();
        bench.source().unwrap().survey(&all, LinkPolicy::Preserve, &mut seen).unwrap();
        assert_eq!(seen.items.len(), 3, "no temporary name stays: {:?}", seen.items);
    });
}

/// A record changes hands in one step, never while somebody commits under it, and stays its
/// holder's to renew.
#[test]
fn a_lease_changes_hands_between_commits_only() {
    each("lease", |bench| {
        assert!(bench.scheme.caps.leases);
        let sink = bench.sink();
        let place = sink.root_directory().unwrap();
        let [one, two] = [sink.lease(&place).unwrap(), sink.lease(&place).unwrap()];
        assert_eq!(one.read().unwrap(), None);
        assert!(!one.swap(Some(b"a1"), Some(b"x")).unwrap(), "what is absent is not a1");
        assert!(one.swap(None, Some(b"a1")).unwrap() && !two.swap(None, Some(b"b1")).unwrap());
        assert_eq!(two.read().unwrap().as_deref(), Some(&b"a1"[..]));
        assert!(two.hold(&|bytes| bytes == b"b1").unwrap().is_none());
        let held = one.hold(&|bytes| bytes == b"a1").unwrap().unwrap();
        let again = one.hold(&|bytes| bytes == b"a1").unwrap().unwrap();
        let holds = bench.scheme.caps.leases_hold;
        assert!(!holds || !two.swap(Some(b"a1"), Some(b"b1")).unwrap(), "broken within a commit");
        assert!(one.renew(b"a1", b"a2").unwrap() && !two.renew(b"a1", b"b1").unwrap());
        drop(held);
        assert!(!holds || !two.swap(Some(b"a2"), Some(b"b1")).unwrap(), "broken within a commit");
        drop(again);
        assert!(two.swap(Some(b"a2"), Some(b"b1")).unwrap());
        assert!(one.hold(&|bytes| bytes.starts_with(b"a")).unwrap().is_none());
        assert!(!one.renew(b"a2", b"a3").unwrap() && !one.swap(Some(b"a2"), None).unwrap());
        assert!(two.swap(Some(b"b1"), None).unwrap());
        assert_eq!(one.read().unwrap(), None);
        assert!(two.hold(&|_| true).unwrap().is_none());
    });
}

/// Names told by `list`, sorted, with whether each is a directory.
fn listed(sink: &dyn ObjectSink, place: &Place) -> Vec<(String, bool)> {
    let mut all = Vec::new();
    sink.list(place, &mut |name, kind| {
        let kind = kind.unwrap_or_else(|| sink.found(place, name).unwrap().unwrap().kind);
        all.push((String::from_utf8(name.to_vec()).unwrap(), kind == ItemKind::Directory));
        Ok(())
    })
    .unwrap();
    all.sort();
    all
}

/// Only the very thing that was found goes; a directory only once it is empty.
#[test]
fn what_is_removed_is_what_was_found() {
    each("remove", |bench| {
        let sink = bench.sink();
        let root = sink.root_directory().unwrap();
        let deep = sink.enter(&sink.enter(&root, b"a").unwrap(), b"b").unwrap();
        for (at, name) in [(&root, "f"), (&root, "g"), (&deep, "h")] {
            let staged = bench.stage(&*sink, at, name, b"1", Consent::New);
            sink.publish(vec![staged], Durable::Crash).pop().unwrap().unwrap();
        }
        let expected = [("a", true), ("f", false), ("g", false)];
        let expected: Vec<_> = expected.map(|(n, d)| (n.to_owned(), d)).into();
        assert_eq!(listed(&*sink, &root), expected, "{}", bench.scheme.name);
        let error = sink.list(&root, &mut |_, _| Err(EngineError::cancelled())).unwrap_err();
        assert_eq!(error.kind(), Kind::Cancelled);
        assert!(sink.inside(&root, b"f").unwrap().is_none());
        assert!(sink.inside(&root, b"none").unwrap().is_none());
        let mark = |at: &Place, name: &[u8]| sink.found(at, name).unwrap().unwrap().mark;
        let (f, g) = (mark(&root, b"f"), mark(&root, b"g"));
        assert!(!sink.remove(&root, b"f", ItemKind::File, &g).unwrap(), "another's mark");
        assert!(!sink.remove(&root, b"f", ItemKind::Symlink, &f).unwrap(), "another kind");
        bench.put("f", b"another", bench.seen("f")).unwrap();
        assert!(!sink.remove(&root, b"f", ItemKind::File, &f).unwrap(), "replaced since");
        assert_eq!(bench.get("f").unwrap(), b"another");
        let f = mark(&root, b"f");
        assert!(sink.remove(&root, b"f", ItemKind::File, &f).unwrap());
        assert!(!sink.remove(&root, b"f", ItemKind::File, &f).unwrap(), "gone");
        let a = sink.inside(&root, b"a").unwrap().unwrap();
        let b = sink.inside(&a, b"b").unwrap().unwrap();
        if bench.scheme.caps.directories {
            let at = mark(&a, b"b");
            assert!(!sink.remove(&a, b"b", ItemKind::Directory, &at).unwrap(), "not empty");
            let h = mark(&b, b"h");
            assert!(sink.remove(&b, b"h", ItemKind::File, &h).unwrap());
            assert!(sink.remove(&a, b"b", ItemKind::Directory, &at).unwrap());
        } else {
            let h = mark(&b, b"h");
            assert!(sink.remove(&b, b"h", ItemKind::File, &h).unwrap());
            assert!(sink.inside(&root, b"a").unwrap().is_none());
        }
        assert!(sink.standing().unwrap().is_some());
    });
}
