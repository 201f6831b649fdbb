//! The only owner of standard output.
//!
//! Events wait in one queue, so that the order of each id is the order of sending. A slow reader
//! costs no memory: progress and checkpoints wait as one entry for each job, kinds that may be
//! dropped are bounded and counted, and results are bounded by how many commands are taken.

use std::collections::{HashMap, VecDeque};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use migration_protocol::LINE_OUT_MAX_BYTES;
use migration_protocol::event::Event;
use migration_protocol::message::{EventKind, Id};

use crate::limits::DROPPABLE_LINES_MAX;
use crate::platform::clock;
use crate::serve::output::Output;

/// Bytes gathered before a write.
const WRITE_BYTES: usize = 256 << 10;

enum Entry {
    Kept(Box<Event>),
    Droppable(Box<Event>),
    /// The newest of a kind for an id, at the place of the first that is not written.
    Newest(EventKind, Id),
}

#[derive(Default)]
struct Queue {
    entries: VecDeque<Entry>,
    newest: HashMap<(EventKind, Id), Event>,
    droppable: usize,
    dropped: HashMap<(EventKind, Id), u64>,
    closed: bool,
}

/// Writes events as lines.
pub struct Writer {
    queue: Mutex<Queue>,
    filled: Condvar,
    answered: AtomicU64,
    lost: AtomicBool,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl Writer {
    /// Takes over standard output: from here on it is a copy of standard error, so that a stray
    /// print of some library cannot break a line.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn stdout() -> std::io::Result<Arc<Self>> {
        let out = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?;
        rustix::stdio::dup2_stdout(rustix::stdio::stderr())?;
        Self::new(out)
    }

    /// Writes to this descriptor.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn new(out: OwnedFd) -> std::io::Result<Arc<Self>> {
        let writer = Arc::new(Self {
            queue: Mutex::default(),
            filled: Condvar::new(),
            answered: AtomicU64::new(0),
            lost: AtomicBool::new(false),
            thread: Mutex::new(None),
        });
        let work = Arc::clone(&writer);
        let thread =
            std::thread::Builder::new().name("writer".into()).spawn(move || work.run(&out))?;
        *writer.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(writer)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, out: &OwnedFd) {
        let mut seq = 0;
        let mut bytes = Vec::with_capacity(WRITE_BYTES);
        loop {
            bytes.clear();
            let mut answers = 0;
            while bytes.len() < WRITE_BYTES {
                let Some(event) = self.next(bytes.is_empty()) else {
                    break;
                };
                answers += u64::from(matches!(event, Event::Result(_) | Event::Error(_)));
                encode(event, seq, &mut bytes);
                seq += 1;
            }
            if bytes.is_empty() {
                return;
            }
            if !self.lost.load(Ordering::Acquire) && write_all(out, &bytes).is_err() {
                self.lost.store(true, Ordering::Release);
            }
            self.answered.fetch_add(answers, Ordering::AcqRel);
        }
    }

    /// The next event; waits for one where asked. `None` when there is none, or no more will come.
    fn next(&self, wait: bool) -> Option<Event> {
        let mut queue = self.queue();
        while wait && queue.entries.is_empty() && !queue.closed {
            queue = self.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        match queue.entries.pop_front()? {
            Entry::Kept(event) => Some(*event),
            Entry::Droppable(event) => {
                queue.droppable -= 1;
                Some(*event)
            }
            Entry::Newest(kind, id) => queue.newest.remove(&(kind, id)),
        }
    }
}

fn write_all(out: &OwnedFd, mut bytes: &[u8]) -> rustix::io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(out, bytes) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => wait_writable(out)?,
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// For a host that made its end of the pipe non-blocking.
fn wait_writable(out: &OwnedFd) -> rustix::io::Result<()> {
    use rustix::event::{PollFd, PollFlags, poll};
    poll(&mut [PollFd::new(out, PollFlags::OUT)], None).map(drop)
}

/// Appends an event with its number and time. A line that would be too long loses its lists.
fn encode(event: Event, seq: u64, out: &mut Vec<u8>) {
    let start = out.len();
    if serde_json::to_writer(&mut *out, &event).is_err() || out.pop() != Some(b'}') {
        out.truncate(start);
        return;
    }
    let tail = format!(",\"seq\":{seq},\"ts\":\"{}\"}}\n", clock::rfc3339_now());
    out.extend_from_slice(tail.as_bytes());
    if out.len() - start > LINE_OUT_MAX_BYTES {
        out.truncate(start);
        if let Some(shorter) = shorten(event) {
            encode(shorter, seq, out);
        }
    }
}

/// The same event without what may be long; `None` when nothing more can go.
fn shorten(event: Event) -> Option<Event> {
    match event {
        Event::Result(mut outcome)
            if outcome.data.is_some()
                || !outcome.failures.is_empty()
                || !outcome.advice.is_empty() =>
        {
            outcome.data = None;
            outcome.failures.clear();
            outcome.advice.clear();
            Some(Event::Result(outcome))
        }
        Event::Result(mut outcome) => {
            let error = outcome.error.as_mut().filter(|error| error.at.is_some())?;
            error.at = None;
            Some(Event::Result(outcome))
        }
        Event::Progress(mut progress) if !progress.active.is_empty() => {
            progress.active.clear();
            Some(Event::Progress(progress))
        }
        _ => None,
    }
}

/// The id and kind of an event that may be dropped, with its count of those dropped before.
fn droppable(event: &mut Event) -> Option<(EventKind, &Id, &mut u64)> {
    Some(match event {
        Event::Warning(e) => (EventKind::Warning, &e.id, &mut e.dropped_before),
        Event::Item(e) => (EventKind::Item, &e.id, &mut e.dropped_before),
        Event::Sample(e) => (EventKind::Sample, &e.id, &mut e.dropped_before),
        Event::Log(e) => (EventKind::Log, &e.id, &mut e.dropped_before),
        _ => return None,
    })
}

fn newest(event: &Event) -> Option<(EventKind, Id)> {
    match event {
        Event::Progress(e) => Some((EventKind::Progress, e.id.clone())),
        Event::Checkpoint(e) => Some((EventKind::Checkpoint, e.id.clone())),
        _ => None,
    }
}

impl Queue {
    fn push(&mut self, mut event: Event) {
        if let Some(key) = newest(&event) {
            if self.newest.insert(key.clone(), event).is_none() {
                self.entries.push_back(Entry::Newest(key.0, key.1));
            }
            return;
        }
        let Some((kind, id, dropped_before)) = droppable(&mut event) else {
            self.entries.push_back(Entry::Kept(Box::new(event)));
            return;
        };
        let key = (kind, id.clone());
        if self.droppable >= DROPPABLE_LINES_MAX {
            *self.dropped.entry(key).or_default() += 1;
            return;
        }
        *dropped_before = self.dropped.remove(&key).unwrap_or_default();
        self.droppable += 1;
        self.entries.push_back(Entry::Droppable(Box::new(event)));
    }

    /// Forgets what was dropped of a job that ended: no later event can tell.
    fn forget(&mut self, ended: &Id) {
        self.dropped.retain(|(_, id), _| id != ended);
    }
}

impl Output for Writer {
    fn send(&self, event: Event) {
        let mut queue = self.queue();
        if let (Event::Result(outcome), false) = (&event, queue.dropped.is_empty()) {
            let id = outcome.id.clone();
            queue.forget(&id);
        }
        let was_empty = queue.entries.is_empty();
        queue.push(event);
        drop(queue);
        if was_empty {
            self.filled.notify_one();
        }
    }

    fn finish(&self) {
        self.queue().closed = true;
        self.filled.notify_one();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }

    fn answered(&self) -> u64 {
        self.answered.load(Ordering::Acquire)
    }

    fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use migration_protocol::event::{Log, Outcome, Progress};
    use migration_protocol::message::Status;
    use std::io::Read as _;

    fn progress(id: u64, bytes: u64) -> Event {
        let zero = serde_json::json!({
            "id": id, "phase": "x", "bytes_done": bytes, "bytes_total": null,
            "total_is_estimate": true, "items_done": 0, "items_total": null, "bytes_per_s": 0,
            "bytes_per_s_avg": 0, "eta_s": null, "elapsed_ms": 0, "retries": 0, "errors": 0,
            "throttled": null, "active": [],
        });
        Event::Progress(serde_json::from_value::<Progress>(zero).unwrap())
    }

    fn log(id: u64) -> Event {
        Event::Log(Log {
            id: Id::Number(id),
            level: "info".into(),
            target: "t".into(),
            message: "m".into(),
            dropped_before: 0,
        })
    }

    fn result(id: u64) -> Event {
        let outcome =
            serde_json::json!({"id": id, "op": "ping", "status": "ok", "backend": "native"});
        let outcome: Outcome = serde_json::from_value(outcome).unwrap();
        assert_eq!(outcome.status, Status::Ok);
        Event::Result(Box::new(outcome))
    }

    /// Everything is sent before the reader reads: it stands still for longer than any queue.
    #[test]
    fn a_reader_that_stands_still_costs_no_memory_and_no_result() {
        let (read, write) = std::io::pipe().unwrap();
        let writer = Writer::new(write.into()).unwrap();
        let fill = |n| (0..n).for_each(|_| writer.send(log(9)));
        fill(20_000);
        for bytes in 0..100_000 {
            writer.send(progress(1, bytes));
        }
        let waiting = writer.queue().entries.len();
        assert!(waiting <= DROPPABLE_LINES_MAX + 2, "{waiting}");
        (0..500).for_each(|id| writer.send(result(id)));
        let reading = std::thread::spawn(move || {
            let mut text = String::new();
            let mut read = read;
            read.read_to_string(&mut text).unwrap();
            text
        });
        writer.finish();
        drop(writer);
        let text = reading.join().unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let kind = |kind: &str| lines.iter().filter(|line| line["type"] == kind).count();
        assert_eq!(kind("result"), 500);
        let last = lines.iter().rfind(|line| line["type"] == "progress").unwrap();
        assert_eq!(last["bytes_done"], 99_999);
        assert!(lines.iter().enumerate().all(|(n, line)| line["seq"] == n as u64));
    }

    #[test]
    fn drops_are_counted_in_the_next_of_the_kind() {
        let mut queue = Queue::default();
        (0..DROPPABLE_LINES_MAX + 3).for_each(|_| queue.push(log(1)));
        queue.entries.pop_front();
        queue.droppable -= 1;
        queue.push(log(1));
        let Some(Entry::Droppable(event)) = queue.entries.pop_back() else { panic!() };
        let Event::Log(last) = *event else { panic!() };
        assert_eq!(last.dropped_before, 3);
    }

    #[test]
    fn a_closed_reader_is_noticed() {
        let (read, write) = std::io::pipe().unwrap();
        drop(read);
        let writer = Writer::new(write.into()).unwrap();
        writer.send(result(1));
        writer.finish();
        assert!(writer.is_lost());
    }
}
