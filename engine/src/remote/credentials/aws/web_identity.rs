//! The token file that Kubernetes and others mount, for a role (`AWS_WEB_IDENTITY_TOKEN_FILE`).

use crate::error::{EngineError, Kind, Result};
use crate::model::item::Timestamp;
use crate::remote::credentials::aws::sts::{self, Role};
use crate::remote::credentials::cached::Lent;
use crate::remote::credentials::looked::Looked;
use crate::remote::credentials::means::Means;
use crate::remote::sign::sigv4::Keys;

const FILE: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";
const ROLE: &str = "AWS_ROLE_ARN";

/// The credentials of the role.
///
/// # Errors
/// `CredentialsMissing` for a file without a role; those of the token service.
pub(super) fn find(
    means: &Means,
    now: Timestamp,
    looked: &mut Looked,
) -> Result<Option<Lent<Keys>>> {
    let Some(path) = means.environment.bytes(FILE) else {
        looked.at(format!("environment {FILE}"));
        return Ok(None);
    };
    let Some(arn) = means.environment.text(ROLE)? else {
        let why = format!("the environment has {FILE} without {ROLE}");
        return Err(EngineError::new(Kind::CredentialsMissing, why));
    };
    let session = means.environment.text("AWS_ROLE_SESSION_NAME")?;
    let arn = sts::role_arn(&arn, ROLE)?;
    let role = Role { arn: &arn, session: session.as_deref(), external_id: None, seconds: None };
    sts::with_web_identity(means, &role, &path, now).map(Some)
}
