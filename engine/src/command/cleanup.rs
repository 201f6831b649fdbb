//! `cleanup`: removes what dead jobs left behind.

use migration_protocol::fault::Fault;
use migration_protocol::message::CleanupParams;
use migration_protocol::vocabulary::{BytePath, LimitSpec};
use serde_json::{Map, Value, json};

use crate::command::{Answer, Command, Planned, Prepared, Work, fields};
use crate::endpoint;
use crate::error::{EngineError, Kind, Result};
use crate::job::Job;
use crate::journal::attempt::{Dead, attempts, is_live, live_sessions};
use crate::journal::keyed;
use crate::model::item::Timestamp;
use crate::model::leftover::{Owner, Root, Swept};
use crate::pipeline::leftovers::{Search, sweep, tag};
use crate::wire;

/// The registry's entry.
pub const COMMAND: Command = Command {
    op: "cleanup",
    about: "Remove what dead jobs left behind",
    schema: || schemars::schema_for!(CleanupParams),
    prepare,
};

fn prepare(map: Map<String, Value>) -> Result<Prepared, Fault> {
    let params: CleanupParams = fields::read(map)?;
    let locations = params.locations.map(|list| list.0).unwrap_or_default();
    let roots = locations.iter().map(|spec| {
        let location = wire::location(spec, "locations")?;
        endpoint::scheme(&location).map_err(|error| error.field("locations"))?;
        Ok(Root { location, tree: true })
    });
    let roots = roots.collect::<Result<Vec<_>>>().map_err(|error| wire::fault(&error))?;
    let target = params.target.map(|target| job_of_token(&target).to_owned());
    let work = Cleanup { target, key: None, roots, forget: params.forget, dry_run: params.dry_run };
    Ok(Prepared { limits: LimitSpec::default(), work: Box::new(work) })
}

/// The job in a checkpoint token `ck:JOB:N`; any other text is a job's own name.
#[must_use]
pub fn job_of_token(token: &str) -> &str {
    token.strip_prefix("ck:").and_then(|rest| rest.split(':').next()).unwrap_or(token)
}

struct Cleanup {
    target: Option<String>,
    key: Option<String>,
    roots: Vec<Root>,
    forget: bool,
    dry_run: bool,
}

impl Work for Cleanup {
    fn run(mut self: Box<Self>, job: &Job) -> Result<Answer> {
        let Some(state) = &job.engine.state else {
            let message = "no state directory: dead jobs are not known";
            return Err(EngineError::new(Kind::StateDir, message)
                .hint("give --state-dir, or name the places in locations"));
        };
        self.key = job.key().map(str::to_owned);
        if self.forget && self.key.is_none() {
            let message = "only the result of a key can be forgotten";
            return Err(EngineError::new(Kind::InvalidField, message)
                .field("forget")
                .hint("name the key in the envelope"));
        }
        let dead = attempts(&state.attempts())?;
        let chosen = self.choose(dead, state)?;
        let mut found = Swept::default();
        for dead in &chosen {
            let owner = Owner::Job(tag(&dead.job));
            let places = Search::of(dead);
            sweep(job, places, &owner, self.dry_run, &mut found)?;
        }
        let is_at_work = |tag: &str| {
            is_live(&state.attempts(), tag)
                || live_sessions(&state.python_sessions()).contains(&tag.to_owned())
        };
        let others = Owner::Dead(&is_at_work);
        let (since, until) = (Timestamp::default(), Timestamp::default());
        let places = Search { roots: &self.roots, begun: &[], since, until };
        sweep(job, places, &others, self.dry_run, &mut found)?;
        let jobs = chosen.len();
        if !self.dry_run && found.left.is_empty() {
            chosen.into_iter().for_each(Dead::forget);
        }
        if let (true, false, Some(key)) = (self.forget, self.dry_run, &self.key) {
            keyed::forget(&state.keys(), key)?;
        }
        let left = wire::sample(found.left.iter().map(|path| BytePath::new(path)));
        let data = json!({
            "jobs": jobs, "removed": found.removed, "bytes": found.bytes, "leftovers": left,
        });
        Ok(Answer { data: Some(data), ..Answer::default() })
    }

    fn plan(mut self: Box<Self>, job: &Job) -> Result<Planned> {
        self.dry_run = true;
        self.run(job).map(|answer| Planned { data: answer.data.unwrap_or_default() })
    }
}

impl Cleanup {
    /// The dead jobs that are meant.
    fn choose(
        &self,
        dead: Vec<Dead>,
        state: &crate::journal::state::StateDir,
    ) -> Result<Vec<Dead>> {
        if let Some(target) = &self.target {
            return Ok(dead.into_iter().filter(|dead| dead.job == *target).collect());
        }
        let Some(key) = &self.key else {
            return Ok(dead);
        };
        let jobs = keyed::jobs(&state.keys(), key)?;
        Ok(dead.into_iter().filter(|dead| jobs.contains(&dead.job)).collect())
    }
}
