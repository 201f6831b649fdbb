//! `plan`: what a command would do, found out without touching anything.

use migration_protocol::fault::{Code, Fault};
use migration_protocol::vocabulary::{LimitSpec, object};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::command::{self, Answer, Command, Planned, Prepared, Work, fields};
use crate::error::{EngineError, Kind, Result};
use crate::job::Job;

/// The fields of `plan`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanParams {
    /// The command, as it would be sent.
    pub command: Map<String, Value>,
    /// Rates of this command. Default: none.
    #[serde(default, deserialize_with = "object")]
    pub limits: LimitSpec,
}

/// The registry's entry.
pub const COMMAND: Command = Command {
    op: "plan",
    about: "Say what a command would do, and touch nothing",
    schema: || schemars::schema_for!(PlanParams),
    prepare,
};

fn prepare(map: Map<String, Value>) -> Result<Prepared, Fault> {
    let params: PlanParams = fields::read(map)?;
    fields::check_limits(&params.limits)?;
    let request = migration_protocol::message::Request::split(params.command)
        .map_err(|bad| within(*bad.fault))?;
    let op = request.envelope.op;
    let Some(found) = command::find(&op).filter(|command| command.op != "plan") else {
        let message = format!("{} cannot be planned", migration_protocol::fault::printable(&op));
        return Err(Fault::new(Code::Unsupported, message).at_field("command.op"));
    };
    let prepared = (found.prepare)(request.fields).map_err(within)?;
    Ok(Prepared { limits: params.limits, work: Box::new(Plan { inner: prepared.work }) })
}

/// A fault of the planned command: its field lies within `command`.
fn within(mut fault: Fault) -> Fault {
    if let Some(field) = fault.at.as_mut().and_then(|at| at.field.as_mut()) {
        *field = format!("command.{field}");
    }
    fault
}

struct Plan {
    inner: Box<dyn Work>,
}

impl Work for Plan {
    fn run(self: Box<Self>, job: &Job) -> Result<Answer> {
        let planned = self.inner.plan(job)?;
        Ok(Answer { data: Some(planned.data), ..Answer::default() })
    }

    fn plan(self: Box<Self>, _job: &Job) -> Result<Planned> {
        Err(EngineError::new(Kind::Unsupported, "a plan cannot be planned"))
    }
}
