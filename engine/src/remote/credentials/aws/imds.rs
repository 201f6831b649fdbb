//! The metadata service of EC2, version 2 alone, where the location allows it.

use secrecy::ExposeSecret as _;

use crate::error::Result;
use crate::model::item::Timestamp;
use crate::remote::credentials::ask::Place;
use crate::remote::credentials::aws::answer;
use crate::remote::credentials::cached::Lent;
use crate::remote::credentials::looked::Looked;
use crate::remote::credentials::means::Means;
use crate::remote::credentials::value;
use crate::remote::sign::sigv4::Keys;

const WHO: &str = "the metadata service of EC2";
const DOING: &str = "failed to get credentials of the metadata service of EC2";
const ENDPOINT: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
const ROLES: &str = "/latest/meta-data/iam/security-credentials/";

/// The credentials of the machine's role.
///
/// # Errors
/// `InvalidField` for a service that is elsewhere; those of the service.
pub(super) fn find(
    means: &Means,
    _now: Timestamp,
    looked: &mut Looked,
) -> Result<Option<Lent<Keys>>> {
    if !means.location.store.imds {
        looked.at("not the metadata service, since imds is false");
        return Ok(None);
    }
    if means.environment.is_true("AWS_EC2_METADATA_DISABLED") {
        looked.at("not the metadata service, since AWS_EC2_METADATA_DISABLED is true");
        return Ok(None);
    }
    looked.at(WHO);
    let url = means.environment.text(ENDPOINT)?;
    let place = Place::metadata(url.as_deref().unwrap_or("http://169.254.169.254"), ENDPOINT)?;
    let begin = place.at("/latest/api/token").request("PUT");
    let begin = begin.header("x-aws-ec2-metadata-token-ttl-seconds", "21600");
    let Some(token) = means.asker.metadata(&begin, DOING)? else { return Ok(None) };
    let token = value::secret(WHO, &token)?;
    let get = |path: &str| {
        let request = place.at(path).request("GET");
        let request = request.header("x-aws-ec2-metadata-token", token.expose_secret());
        means.asker.metadata(&request, DOING)
    };
    let Some(roles) = get(ROLES)? else { return Ok(None) };
    let role = value::name("the role of the machine", roles.lines().next().unwrap_or_default())?;
    let Some(body) = get(&[ROLES, &role].concat())? else { return Ok(None) };
    answer::keys(&body, WHO).map(Some)
}
