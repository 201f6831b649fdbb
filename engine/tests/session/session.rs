//! Drives the binary: lines in, lines out, every line checked on its way.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longest wait for anything that must come.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// The binary under test.
pub fn binary() -> Command {
    Command::new(env!("CARGO_BIN_EXE_migration-engine"))
}

/// A scratch directory with a state directory of its own.
pub struct Place {
    pub dir: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn state(&self) -> PathBuf {
        self.path(".state")
    }

    /// Temporary files beneath the place; `find` reaches names of any length.
    pub fn leftovers(&self) -> Vec<PathBuf> {
        let form =
            [r"-regextype", "posix-extended", "-regex", r".*/\.mig-[0-9a-f]{8}-[0-9]+\.part"];
        let found = Command::new("find").arg(self.dir.path()).args(form).output().unwrap().stdout;
        String::from_utf8(found).unwrap().lines().map(PathBuf::from).collect()
    }
}

/// A running session.
pub struct Session {
    pub child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<Value>,
    /// Every line seen so far.
    pub seen: Vec<Value>,
}

impl Session {
    pub fn start(place: &Place, flags: &[&str]) -> Self {
        Self::start_with(place, flags, |command| command)
    }

    pub fn start_with(
        place: &Place,
        flags: &[&str],
        change: impl FnOnce(&mut Command) -> &mut Command,
    ) -> Self {
        let mut command = binary();
        command.arg("serve").arg("--state-dir").arg(place.state()).args(flags);
        command.current_dir(place.dir.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = change(&mut command).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in output.split(b'\n') {
                let Ok(line) = line else { return };
                assert!(line.len() < migration_protocol::LINE_OUT_MAX_BYTES);
                if sender.send(serde_json::from_slice(&line).unwrap()).is_err() {
                    return;
                }
            }
        });
        let input = child.stdin.take();
        let mut session = Self { child, input, lines, seen: Vec::new() };
        assert_eq!(session.next()["type"], "hello");
        session
    }

    pub fn send(&mut self, line: &Value) {
        self.send_bytes(line.to_string().as_bytes());
    }

    pub fn send_bytes(&mut self, line: &[u8]) {
        let input = self.input.as_mut().unwrap();
        input.write_all(line).unwrap();
        input.write_all(b"\n").unwrap();
    }

    /// The next line.
    pub fn next(&mut self) -> Value {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => {
                self.seen.push(line.clone());
                line
            }
            Err(RecvTimeoutError::Timeout) => panic!("no line in {PATIENCE:?}: {:?}", self.seen),
            Err(RecvTimeoutError::Disconnected) => panic!("the output ended: {:?}", self.seen),
        }
    }

    /// The next line that `wanted` takes.
    pub fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let line = self.next();
            if wanted(&line) {
                return line;
            }
        }
    }

    /// The result of this id.
    pub fn result(&mut self, id: &str) -> Value {
        self.until(|line| line["type"] == "result" && line["id"] == id)
    }

    /// Sends a command and waits for its result.
    pub fn call(&mut self, line: &Value) -> Value {
        self.send(line);
        self.result(line["id"].as_str().unwrap())
    }

    /// Closes the input and waits for the end. Returns the exit code and every line.
    pub fn end(mut self) -> (i32, Vec<Value>) {
        drop(self.input.take());
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("the engine does not end"),
            }
        }
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        check_order(&self.seen);
        (code, std::mem::take(&mut self.seen))
    }

    /// Kills the engine as a power switch would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// A figure of `/proc/PID/status`, in bytes.
    pub fn memory(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().split(' ').next().unwrap().parse::<u64>().unwrap() * 1024
    }
}

/// The rules of order: numbers increase, `accepted` comes first, `result` once and last.
pub fn check_order(lines: &[Value]) {
    let mut state: HashMap<String, &str> = HashMap::new();
    for (number, line) in lines.iter().enumerate() {
        assert_eq!(line["seq"], number as u64, "{line}");
        if line["type"] == "hello" || line["type"] == "error" {
            continue;
        }
        let id = line["id"].to_string();
        let before = state.get(id.as_str()).copied();
        let kind = line["type"].as_str().unwrap();
        match kind {
            "accepted" => assert_eq!(before.filter(|b| *b != "result"), None, "{line}"),
            "result" => assert_ne!(before, Some("result"), "{line}"),
            _ => assert!(matches!(before, Some("accepted" | "running")), "{line}"),
        }
        let now = match kind {
            "accepted" => "accepted",
            "result" => "result",
            _ => "running",
        };
        state.insert(id, now);
    }
}

/// The bytes of a file.
pub fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}
