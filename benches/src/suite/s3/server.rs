//! The server, and the independent client that prepares and judges the races.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::suite::Setting;

/// The bucket that the races have to themselves.
pub const BUCKET: &str = "benches";

const SCRIPTS: [(&str, &str); 3] = [
    ("judge.py", include_str!("../../../peers/judge.py")),
    ("with_boto3.py", include_str!("../../../peers/with_boto3.py")),
    ("with_obstore.py", include_str!("../../../peers/with_obstore.py")),
];

/// A server with the bucket of the races.
pub struct Server {
    /// Where it listens, `http://host:port`.
    pub endpoint: String,
    /// Its region.
    pub region: String,
    /// The python that has the clients.
    pub python: PathBuf,
    scripts: PathBuf,
    access_key: String,
    secret_key: String,
}

impl Server {
    /// The server of `TEST_GARAGE_*`, with its bucket.
    ///
    /// # Errors
    /// What is missing, or what the server answers.
    pub fn find(setting: &Setting) -> io::Result<Self> {
        let variable = |name: &str| {
            let name = format!("TEST_GARAGE_{name}");
            std::env::var(&name).map_err(|_| io::Error::other(format!("{name} is not set")))
        };
        let python = setting.tools.python().ok_or_else(|| io::Error::other("no clients"))?;
        let scripts = setting.scratch.join("clients");
        std::fs::create_dir_all(&scripts)?;
        for (name, text) in SCRIPTS {
            std::fs::write(scripts.join(name), text)?;
        }
        std::fs::write(
            scripts.join("aws"),
            "[default]\ns3 =\n  preferred_transfer_client = crt\n",
        )?;
        let server = Self {
            endpoint: variable("ENDPOINT")?,
            region: variable("REGION")?,
            python,
            scripts,
            access_key: variable("ACCESS_KEY")?,
            secret_key: variable("SECRET_KEY")?,
        };
        server.judge(&["bucket"], "", None)?;
        Ok(server)
    }

    /// The path of a script or configuration.
    #[must_use]
    pub fn script(&self, name: &str) -> OsString {
        self.scripts.join(name).into_os_string()
    }

    /// What each client reads from its environment, as words of `env`.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, OsString)> {
        let text = |value: &str| OsString::from(value);
        vec![
            ("AWS_ACCESS_KEY_ID", text(&self.access_key)),
            ("AWS_SECRET_ACCESS_KEY", text(&self.secret_key)),
            ("AWS_REGION", text(&self.region)),
            ("AWS_DEFAULT_REGION", text(&self.region)),
            ("AWS_ENDPOINT_URL", text(&self.endpoint)),
            ("AWS_EC2_METADATA_DISABLED", text("true")),
            ("AWS_CONFIG_FILE", self.script("aws")),
            ("S3_ENDPOINT_URL", text(&self.endpoint)),
            ("RCLONE_S3_PROVIDER", text("Other")),
            ("RCLONE_S3_ENV_AUTH", text("true")),
            ("RCLONE_S3_ENDPOINT", text(&self.endpoint)),
            ("RCLONE_S3_REGION", text(&self.region)),
            ("RCLONE_S3_NO_CHECK_BUCKET", text("true")),
            ("NO_PROXY", text("127.0.0.1,localhost")),
        ]
    }

    /// Runs the judge: `verb`, the bucket, a key or prefix unless it is empty, a path.
    ///
    /// # Errors
    /// What it says is wrong.
    pub fn judge(&self, verb: &[&str], key: &str, place: Option<&Path>) -> io::Result<String> {
        let mut words: Vec<OsString> = vec![self.script("judge.py")];
        words.extend(verb.iter().take(1).map(OsString::from));
        words.push(BUCKET.into());
        words.extend((!key.is_empty()).then(|| key.into()));
        words.extend(verb.iter().skip(1).map(OsString::from));
        words.extend(place.map(OsString::from));
        self.run(&words)
    }

    /// Leaves `source` under `key`, where it may be from an earlier run.
    ///
    /// # Errors
    /// What the server answers.
    pub fn keep(&self, key: &str, source: &Path) -> io::Result<()> {
        if self.judge(&["same"], key, Some(source)).is_ok() {
            return Ok(());
        }
        self.judge(&["clear"], key, None)?;
        let script = self.script("with_obstore.py");
        self.run(&[script, "up".into(), BUCKET.into(), key.into(), source.into()])?;
        self.judge(&["same"], key, Some(source)).map(drop)
    }

    /// Leaves so many keys under `prefix`; answers the sum of their sizes.
    ///
    /// # Errors
    /// What the server answers, and when it holds another number of keys.
    pub fn keys(&self, prefix: &str, count: u64) -> io::Result<u64> {
        let text = self.judge(&["keys", &count.to_string()], prefix, None)?;
        let (found, sum) = text.trim().split_once(' ').unwrap_or_default();
        match (found.parse::<u64>(), sum.parse()) {
            (Ok(found), Ok(sum)) if found == count => Ok(sum),
            _ => Err(io::Error::other(format!("{count} keys are wanted, there are {text}"))),
        }
    }

    fn run(&self, words: &[OsString]) -> io::Result<String> {
        let ran = Command::new(&self.python).args(words).envs(self.environment()).output()?;
        let said = String::from_utf8_lossy(&ran.stderr);
        if !ran.status.success() {
            let last = said.lines().next_back().unwrap_or_default();
            return Err(io::Error::new(io::ErrorKind::InvalidData, last.to_owned()));
        }
        Ok(String::from_utf8_lossy(&ran.stdout).into_owned())
    }
}
