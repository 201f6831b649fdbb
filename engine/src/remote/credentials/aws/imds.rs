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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::remote::credentials::trial::{Service, Trial, canary};

    #[test]
    fn it_is_asked_only_where_the_location_says_so_and_by_its_second_version() {
        let keys = r#"{"Code":"Success","AccessKeyId":"EC2","SecretAccessKey":"s","Token":"t",
            "Expiration":"2026-01-01T06:00:00Z"}"#;
        let answers = ["the-token", "my-role\n", keys].map(|body| (200, body.to_owned()));
        let service = Service::new(answers.to_vec());
        let mut trial = Trial::new();
        trial.set(ENDPOINT, &service.url);
        trial.refuses_aws(Kind::CredentialsMissing, "imds is false");
        trial.store(|store| store.imds = true);
        trial.set("AWS_EC2_METADATA_DISABLED", "TRUE");
        trial.refuses_aws(Kind::CredentialsMissing, "AWS_EC2_METADATA_DISABLED is true");
        assert!(service.asked().is_empty());
        trial.set("AWS_EC2_METADATA_DISABLED", "");
        assert_eq!(trial.aws_key(), "EC2");
        let asked = service.asked();
        assert!(asked[0].starts_with("PUT /latest/api/token "), "{}", asked[0]);
        assert!(asked[0].contains("x-aws-ec2-metadata-token-ttl-seconds: 21600"));
        assert!(asked[1].contains("x-aws-ec2-metadata-token: the-token"));
        let path = "GET /latest/meta-data/iam/security-credentials/my-role ";
        assert!(asked[2].starts_with(path), "{}", asked[2]);
        trial.set(ENDPOINT, "http://10.1.1.1");
        trial.refuses_aws(Kind::InvalidField, ENDPOINT);
    }

    #[test]
    fn odd_answers_are_refused_and_not_repeated() {
        let ok = |body: &str| (200, body.to_owned());
        for (answers, kind, word) in [
            (vec![ok("token"), (404, canary())], Kind::CredentialsMissing, WHO),
            (vec![ok("token"), ok(&format!("../{}", canary()))], Kind::InvalidField, "role"),
            (vec![ok(&format!("{} x", canary()))], Kind::SecretUnresolved, WHO),
            (vec![ok("token"), ok("r"), ok(&canary())], Kind::RemoteAnswer, WHO),
        ] {
            let service = Service::new(answers);
            let mut trial = Trial::new();
            trial.set(ENDPOINT, &service.url).store(|store| store.imds = true);
            trial.refuses_aws(kind, word);
        }
    }
}
