//! Where the contenders' programs are.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The engine, and where to look for the others.
#[derive(Debug)]
pub struct Tools {
    engine: Option<PathBuf>,
    python: Option<PathBuf>,
    folders: Vec<PathBuf>,
}

impl Tools {
    /// Looks for the engine at `engine`, or else beside this program; for peers in `peers`/bin or
    /// else in the cache folder of scripts/peers.sh, and then on PATH.
    #[must_use]
    pub fn find(engine: Option<PathBuf>, peers: Option<PathBuf>) -> Self {
        let beside = || Some(std::env::current_exe().ok()?.with_file_name("migration-engine"));
        let peers = peers.or_else(default_peers);
        let python = peers.as_ref().map(|folder| folder.join("venv/bin/python"));
        let peers = peers.map(|folder| folder.join("bin"));
        let path = std::env::var_os("PATH").unwrap_or_default();
        Self {
            engine: engine.or_else(beside).filter(|path| is_program(path)),
            python: python.filter(|path| is_program(path)),
            folders: peers.into_iter().chain(std::env::split_paths(&path)).collect(),
        }
    }

    /// The engine's binary, unless it is not built.
    #[must_use]
    pub fn engine(&self) -> Option<&Path> {
        self.engine.as_deref()
    }

    /// The python that has the peers which are libraries, unless it is not installed.
    #[must_use]
    pub fn python(&self) -> Option<PathBuf> {
        self.python.clone()
    }

    /// The program of that name, unless it is not installed.
    #[must_use]
    pub fn peer(&self, name: &str) -> Option<PathBuf> {
        self.folders.iter().map(|folder| folder.join(name)).find(|path| is_program(path))
    }
}

fn default_peers() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || Some(Path::new(&std::env::var_os("HOME")?).join(".cache"));
    Some(cache.or_else(home)?.join("migration-engine").join("peers"))
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// One command line that takes part in a race.
#[derive(Clone, Debug)]
pub struct Contender {
    /// Its name in the table.
    pub name: String,
    /// Whether it is the engine.
    pub ours: bool,
    /// Program and arguments; none when the program is absent.
    pub command: Option<Vec<OsString>>,
    /// Whether it writes the race's target, which then has to equal the source.
    pub copies: bool,
    /// The tool that unpacks the race's target to the source, for those that compress.
    pub unpack: Option<&'static str>,
}

impl Contender {
    /// A peer that copies, found through `tools`; its name in the table is its command line
    /// without the paths.
    #[must_use]
    pub fn copier(tools: &Tools, program: &str, options: &[&str], paths: [&Path; 2]) -> Self {
        Self { copies: true, ..Self::reader(tools, program, options, &paths) }
    }

    /// A peer that only reads.
    #[must_use]
    pub fn reader(tools: &Tools, program: &str, options: &[&str], paths: &[&Path]) -> Self {
        let name = std::iter::once(program).chain(options.iter().copied()).collect::<Vec<_>>();
        let command = tools.peer(program).map(|found| {
            let options = options.iter().map(OsString::from);
            let paths = paths.iter().map(OsString::from);
            std::iter::once(found.into_os_string()).chain(options).chain(paths).collect()
        });
        Self { name: name.join(" "), ours: false, command, copies: false, unpack: None }
    }
}
