//! What a command chooses about tables, resolved from its fields.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::endpoint::rows::LossClass;
use crate::model::kind::ColumnType;
use crate::model::rows::Misfit;
use crate::model::selection::Selection;
use crate::table::mask::Mask;

/// How rows meet a table that is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// No table may be there.
    #[default]
    Create,
    /// Rows are added to those that are there; a key that is there is an error of its row.
    Append,
    /// What is there is dropped first.
    Replace,
    /// A row whose primary key is there replaces that row.
    Merge,
}

impl Mode {
    /// Its name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Append => "append",
            Self::Replace => "replace",
            Self::Merge => "merge",
        }
    }
}

/// What becomes of values that a target cannot hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// The job ends before it writes anything.
    #[default]
    Fail,
    /// They become NULL.
    Null,
    /// They become the nearest value that can be held.
    Clamp,
    /// Their column becomes text.
    Text,
    /// Their rows are rejected.
    Reject,
}

impl Policy {
    /// What a reader does then; `None` where the column becomes text.
    #[must_use]
    pub fn misfit(self) -> Option<Misfit> {
        match self {
            Self::Fail => Some(Misfit::Fail),
            Self::Null => Some(Misfit::Null),
            Self::Clamp => Some(Misfit::Clamp),
            Self::Reject => Some(Misfit::Reject),
            Self::Text => None,
        }
    }

    /// Its name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Null => "null",
            Self::Clamp => "clamp",
            Self::Text => "text",
            Self::Reject => "reject",
        }
    }
}

/// Policies by class of loss.
#[derive(Clone, Debug, Default)]
pub struct Policies {
    /// For classes that are not named.
    pub default: Policy,
    /// By the name of a class ([`class_name`]).
    pub by_class: BTreeMap<String, Policy>,
}

impl Policies {
    /// The policy of a class.
    #[must_use]
    pub fn of(&self, class: &LossClass) -> Policy {
        self.by_class.get(class_name(class)).copied().unwrap_or(self.default)
    }
}

/// Names of the classes of loss, in alphabetical order.
pub const CLASS_NAMES: [&str; 14] = [
    "date_outside",
    "decimal_outside",
    "impossible_date",
    "infinite_date",
    "integer_outside",
    "longer",
    "not_boolean",
    "not_cast",
    "not_declared",
    "not_finite",
    "not_json",
    "not_text",
    "nul",
    "time_outside",
];

/// The name of a class of loss on the wire.
#[must_use]
pub fn class_name(class: &LossClass) -> &'static str {
    match class {
        LossClass::ImpossibleDate => "impossible_date",
        LossClass::InfiniteDate => "infinite_date",
        LossClass::DateOutside { .. } => "date_outside",
        LossClass::TimeOutside => "time_outside",
        LossClass::NotFinite => "not_finite",
        LossClass::IntegerOutside { .. } => "integer_outside",
        LossClass::DecimalOutside { .. } => "decimal_outside",
        LossClass::Nul => "nul",
        LossClass::NotText => "not_text",
        LossClass::Longer(_) => "longer",
        LossClass::NotDeclared(_) => "not_declared",
        LossClass::NotBoolean => "not_boolean",
        LossClass::NotJson => "not_json",
        LossClass::NotCast => "not_cast",
    }
}

/// How the copy is proven.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RowVerify {
    /// Rows are counted and digested as they are read, and the target says how many it took.
    #[default]
    Stream,
    /// Besides, the target is read back and its digest compared.
    Readback,
}

/// Everything a command chooses.
#[derive(Debug)]
pub struct Choices {
    /// Which tables.
    pub selection: Selection,
    /// How rows meet a table that is there.
    pub mode: Mode,
    /// Columns of a table, by its name; every column where a table is not named.
    pub columns: BTreeMap<String, Vec<String>>,
    /// Conditions on the rows of a table, by its name, in the source's own SQL.
    pub filters: BTreeMap<String, String>,
    /// New names: of a table by its name, of a column by `table.column`.
    pub rename: BTreeMap<String, String>,
    /// Columns whose values are hidden, by `table.column`.
    pub masks: BTreeMap<String, Mask>,
    /// Columns that become another type, by `table.column`.
    pub casts: BTreeMap<String, ColumnType>,
    /// What becomes of values that the target cannot hold.
    pub policies: Policies,
    /// Whether indexes, foreign keys and checks are made.
    pub indexes: bool,
    /// How the copy is proven.
    pub verify: RowVerify,
    /// Rows that may be rejected.
    pub reject_limit: u64,
    /// Where rejected rows go, a file of the operator's; beside the reports where it is not said.
    pub reject_file: Option<Vec<u8>>,
    /// How far the replicas of the target may be behind while rows are written; `None` for any.
    pub replica_lag: Option<Duration>,
    /// Rows of a span, about.
    pub span_rows: u64,
    /// Rows of a batch at most.
    pub batch_rows: usize,
    /// Spans in hand at once.
    pub parallel: usize,
}
