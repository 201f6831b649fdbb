//! Who races: the peers with the settings that their users choose for speed, and the engine.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use serde_json::{Value, json};

use super::server::{BUCKET, Server};
use crate::suite::{Setting, engine};
use crate::tool::Contender;

const S5CMD_WORKERS: &[&str] = &["--numworkers", "16"];
const RCLONE: &[&str] = &["--transfers", "16", "--checkers", "16", "--s3-upload-concurrency", "4"];

/// What every contender does.
pub struct Task<'a> {
    /// With whom.
    pub server: &'a Server,
    /// The key of an object, or that of a tree with a slash at its end.
    pub key: &'a str,
    /// The file or tree here.
    pub place: &'a Path,
    /// Whether it is a tree.
    pub tree: bool,
}

/// Where to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To the server.
    Up,
    /// From it.
    Down,
}

/// Everyone who moves objects.
///
/// # Errors
/// What the system answers.
pub fn contenders(setting: &Setting, task: &Task, way: Way) -> io::Result<Vec<Contender>> {
    let verb = if way == Way::Up { "up" } else { "down" };
    Ok(vec![
        task.s5cmd(setting, &[], way),
        task.s5cmd(setting, S5CMD_WORKERS, way),
        task.rclone(setting, way),
        task.aws(setting, way),
        task.python("boto3, 16 threads", "with_boto3.py", &["classic", verb], task.place),
        task.python("boto3, C library", "with_boto3.py", &["crt", verb], task.place),
        task.python("obstore, 16 threads", "with_obstore.py", &[verb], task.place),
        task.engine(setting, way)?,
    ])
}

/// Everyone who lists, each with its output in the task's file.
///
/// # Errors
/// What the system answers.
pub fn listers(setting: &Setting, task: &Task) -> io::Result<Vec<Contender>> {
    let all = format!("s3://{BUCKET}/{}*", task.key);
    let (url, remote) = (task.url(), task.remote());
    let none = Path::new("-");
    let listers = [
        task.program(setting, "s5cmd", &["--json", "du"], vec![all.into()]),
        task.program(setting, "rclone", &["size", "--json", "--fast-list"], vec![remote.into()]),
        task.program(setting, "aws", &["s3", "ls", "--recursive", "--summarize"], vec![url.into()]),
        task.python("boto3", "with_boto3.py", &["classic", "list"], none),
        task.python("obstore", "with_obstore.py", &["list"], none),
        engine::contender(setting, "inspect", &json!({ "op": "inspect", "src": task.location() }))?,
    ];
    Ok(listers
        .map(|lister| Contender { command: lister.command.map(|c| task.kept(c)), ..lister })
        .into())
}

impl Task<'_> {
    fn url(&self) -> String {
        format!("s3://{BUCKET}/{}", self.key)
    }

    fn remote(&self) -> String {
        format!(":s3:{BUCKET}/{}", self.key.trim_end_matches('/'))
    }

    fn s5cmd(&self, setting: &Setting, options: &[&str], way: Way) -> Contender {
        let inside = |path: &Path| match self.tree {
            true => path.join("").into_os_string(),
            false => path.into(),
        };
        let all = if self.tree { "*" } else { "" };
        let words = match way {
            Way::Up => vec![inside(self.place), self.url().into()],
            Way::Down => vec![format!("{}{all}", self.url()).into(), inside(self.place)],
        };
        self.program(setting, "s5cmd", &[options, &["--log", "error", "cp"]].concat(), words)
    }

    fn rclone(&self, setting: &Setting, way: Way) -> Contender {
        let verb = if self.tree { "copy" } else { "copyto" };
        let words = ordered(self.place.into(), self.remote().into(), way);
        self.program(setting, "rclone", &[&[verb], RCLONE].concat(), words)
    }

    fn aws(&self, setting: &Setting, way: Way) -> Contender {
        let tree: &[&str] = if self.tree { &["--recursive"] } else { &[] };
        let words = ordered(self.place.into(), self.url().into(), way);
        let options = [&["s3", "cp", "--only-show-errors"], tree].concat();
        Contender {
            name: "aws s3 cp, C library".to_owned(),
            ..self.program(setting, "aws", &options, words)
        }
    }

    /// The engine with its defaults. The server knows no conditions, which has to be allowed.
    fn engine(&self, setting: &Setting, way: Way) -> io::Result<Contender> {
        let (mut store, place) = (self.location(), json!(self.place));
        store["allow_racy"] = (way == Way::Up).into();
        let [src, dst] = if way == Way::Up { [place, store] } else { [store, place] };
        let name = if way == Way::Up { "copy up" } else { "copy down" };
        engine::contender(setting, name, &json!({ "op": "copy", "src": src, "dst": dst }))
    }

    fn location(&self) -> Value {
        json!({
            "url": self.url().trim_end_matches('/'),
            "endpoint": self.server.endpoint,
            "region": self.server.region,
            "auth": {
                "access_key_id": { "env": "TEST_GARAGE_ACCESS_KEY" },
                "secret_access_key": { "env": "TEST_GARAGE_SECRET_KEY" },
            },
        })
    }

    /// A peer with what it reads from the environment.
    fn program(
        &self,
        setting: &Setting,
        program: &str,
        options: &[&str],
        words: Vec<OsString>,
    ) -> Contender {
        let name = std::iter::once(program).chain(options.iter().copied()).collect::<Vec<_>>();
        let command = setting.tools.peer(program).map(|found| {
            let options = options.iter().map(OsString::from);
            self.surrounded([found.into()].into_iter().chain(options).chain(words).collect())
        });
        Contender { name: name.join(" "), ours: false, command, copies: true, unpack: None }
    }

    /// A peer that is a library.
    fn python(&self, name: &str, script: &str, verb: &[&str], place: &Path) -> Contender {
        let mut words = vec![self.server.python.clone().into(), self.server.script(script)];
        words.extend(verb.iter().map(OsString::from));
        words.extend([BUCKET.into(), self.key.into(), place.into()]);
        let command = Some(self.surrounded(words));
        Contender { name: name.to_owned(), ours: false, command, copies: true, unpack: None }
    }

    fn surrounded(&self, words: Vec<OsString>) -> Vec<OsString> {
        let variable = |(name, value): (&str, OsString)| {
            let mut word = OsString::from(format!("{name}="));
            word.push(value);
            word
        };
        let before = self.server.environment().into_iter().map(variable);
        [OsString::from("env")].into_iter().chain(before).chain(words).collect()
    }

    /// The same with its standard output in the task's file.
    fn kept(&self, words: Vec<OsString>) -> Vec<OsString> {
        let script = "to=$1; shift; exec \"$@\" > \"$to\"";
        let begin: [OsString; 5] =
            ["sh".into(), "-c".into(), script.into(), "sh".into(), self.place.into()];
        begin.into_iter().chain(words).collect()
    }
}

fn ordered(here: OsString, there: OsString, way: Way) -> Vec<OsString> {
    if way == Way::Up { vec![here, there] } else { vec![there, here] }
}
