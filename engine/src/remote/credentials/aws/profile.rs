//! Credentials of a profile: a key, a role that another profile takes on, a program's output.

use crate::error::{EngineError, Kind, Result};
use crate::limits::PROFILES_CHAINED_MAX;
use crate::model::item::Timestamp;
use crate::remote::credentials::aws::profiles::{Profile, Profiles, asked};
use crate::remote::credentials::aws::sts::{self, Role};
use crate::remote::credentials::aws::{container, environment, imds, process};
use crate::remote::credentials::cached::Lent;
use crate::remote::credentials::looked::Looked;
use crate::remote::credentials::means::Means;
use crate::remote::credentials::value;
use crate::remote::sign::sigv4::Keys;

/// One look through the profiles.
struct Search<'a> {
    means: &'a Means,
    profiles: &'a Profiles,
    now: Timestamp,
    looked: &'a mut Looked,
}

/// The credentials of the profile asked for, or of `default`.
///
/// # Errors
/// `CredentialsMissing` for a profile that was asked for by name and is not there;
/// `Unsupported` for one that signs on by SSO or by a second factor; what keeps a role from being
/// taken on.
pub(super) fn find(
    means: &Means,
    now: Timestamp,
    looked: &mut Looked,
) -> Result<Option<Lent<Keys>>> {
    let profiles = Profiles::read(&means.environment)?;
    let asked = asked(means)?;
    let name = asked.as_deref().unwrap_or("default");
    looked.at(format!("profile {name} of {}", profiles.files));
    let Some(profile) = profiles.get(name) else {
        if asked.is_none() {
            return Ok(None);
        }
        let why = format!("the AWS profile {name} is not in {}", profiles.files);
        return Err(EngineError::new(Kind::CredentialsMissing, why));
    };
    let mut search = Search { means, profiles: &profiles, now, looked };
    search.resolve(profile, &mut Vec::new())
}

impl Search<'_> {
    /// `above` holds the profiles that this one is the source of.
    fn resolve(
        &mut self,
        profile: Profile<'_>,
        above: &mut Vec<String>,
    ) -> Result<Option<Lent<Keys>>> {
        if above.iter().any(|name| name == profile.name) || above.len() > PROFILES_CHAINED_MAX {
            let why = format!("the AWS profile {} is its own source", profile.name);
            return Err(EngineError::new(Kind::InvalidField, why));
        }
        if profile.get("role_arn").is_some() {
            return self.role(profile, above).map(Some);
        }
        if let Some(keys) = fixed(profile)? {
            return Ok(Some(keys));
        }
        if let Some(command) = profile.get("credential_process") {
            return process::run(self.means, command, profile.name).map(Some);
        }
        if ["sso_session", "sso_start_url"].into_iter().any(|name| profile.get(name).is_some()) {
            let why = format!("the AWS profile {} signs on by SSO", profile.name);
            let hint = "give the keys that `aws configure export-credentials` prints";
            return Err(EngineError::new(Kind::Unsupported, why).hint(hint));
        }
        Ok(None)
    }

    fn role(&mut self, profile: Profile<'_>, above: &mut Vec<String>) -> Result<Lent<Keys>> {
        if profile.get("mfa_serial").is_some() {
            let why = format!("the role of the AWS profile {} wants a second factor", profile.name);
            return Err(EngineError::new(Kind::Unsupported, why));
        }
        let role = Role {
            arn: profile.needed("role_arn")?,
            session: profile.get("role_session_name"),
            external_id: profile.get("external_id"),
            seconds: profile.get("duration_seconds"),
        };
        if let Some(path) = profile.get("web_identity_token_file") {
            return sts::with_web_identity(self.means, &role, path.as_bytes(), self.now);
        }
        let keys = self.source(profile, above)?.ok_or_else(|| {
            let why = format!("the source of the AWS profile {} has no credentials", profile.name);
            EngineError::new(Kind::CredentialsMissing, why)
        })?;
        sts::with_keys(self.means, &role, keys.value, self.now)
    }

    /// What a role is taken on with.
    fn source(
        &mut self,
        profile: Profile<'_>,
        above: &mut Vec<String>,
    ) -> Result<Option<Lent<Keys>>> {
        let (means, now) = (self.means, self.now);
        if let Some(source) = profile.get("source_profile") {
            if source == profile.name {
                return fixed(profile);
            }
            let profiles = self.profiles;
            let Some(source) = profiles.get(source) else {
                let why = format!("the AWS profile {} names a source that is none", profile.name);
                return Err(EngineError::new(Kind::CredentialsMissing, why));
            };
            above.push(profile.name.to_owned());
            return self.resolve(source, above);
        }
        match profile.get("credential_source") {
            Some("Environment") => environment::find(means, now, self.looked),
            Some("EcsContainer") => container::find(means, now, self.looked),
            Some("Ec2InstanceMetadata") => imds::find(means, now, self.looked),
            _ => {
                let why = format!(
                    "the AWS profile {} has a role without source_profile, credential_source or \
                     web_identity_token_file",
                    profile.name
                );
                Err(EngineError::new(Kind::CredentialsMissing, why))
            }
        }
    }
}

/// A key that stands in the profile itself; read anew where it is refused as expired, since other
/// programs write it there.
fn fixed(profile: Profile<'_>) -> Result<Option<Lent<Keys>>> {
    const ID: &str = "aws_access_key_id";
    const SECRET: &str = "aws_secret_access_key";
    const TOKEN: &str = "aws_session_token";
    if profile.get(ID).is_none() && profile.get(SECRET).is_none() {
        return Ok(None);
    }
    let place = |name: &str| format!("{name} of the AWS profile {}", profile.name);
    let (id, secret) = (profile.needed(ID)?, profile.needed(SECRET)?);
    let (id, secret) = (value::word(&place(ID), id)?, value::secret(&place(SECRET), secret)?);
    let token = profile.get(TOKEN).map(|text| value::secret(&place(TOKEN), text)).transpose()?;
    Ok(Some(Lent::until(Keys { id, secret, token }, None)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::credentials::trial::{Trial, canary};

    fn with(config: &str) -> Trial {
        let mut trial = Trial::new();
        trial.home(".aws/config", config);
        trial
    }

    #[test]
    fn profiles_are_found_by_option_environment_and_default() {
        let mut trial = with(
            "[profile a]\naws_access_key_id=A\naws_secret_access_key=x\n\
            [default]\naws_access_key_id=D\naws_secret_access_key=x\naws_session_token=old\n",
        );
        trial.home(
            ".aws/credentials",
            "[b]\naws_access_key_id=B\naws_secret_access_key=x\n\
            [default]\naws_session_token=new",
        );
        assert_eq!(trial.aws_key(), "D");
        let request = trial.sign(&*trial.aws().unwrap().signer("r")).unwrap();
        assert_eq!(request.headers.get("x-amz-security-token"), Some("new"));
        trial.set("AWS_PROFILE", "a");
        assert_eq!(trial.aws_key(), "A");
        trial.set("AWS_ACCESS_KEY_ID", "ENV").set("AWS_SECRET_ACCESS_KEY", "x");
        assert_eq!(trial.aws_key(), "ENV");
        trial.store(|store| store.profile = Some("b".to_owned()));
        assert_eq!(trial.aws_key(), "B");
        trial.store(|store| store.profile = Some("none".to_owned()));
        trial.refuses_aws(Kind::CredentialsMissing, "profile none is not in");
        let path = trial.home("elsewhere", "[none]\naws_access_key_id=E\naws_secret_access_key=x");
        trial.set("AWS_SHARED_CREDENTIALS_FILE", &path);
        assert_eq!(trial.aws_key(), "E");
    }

    #[test]
    fn what_is_not_built_or_makes_no_sense_is_refused_by_name() {
        let secret = canary();
        for (config, kind, word) in [
            ("sso_session = s".to_owned(), Kind::Unsupported, "SSO"),
            ("sso_start_url = https://s".to_owned(), Kind::Unsupported, "SSO"),
            ("role_arn=r\nmfa_serial=1".to_owned(), Kind::Unsupported, "second factor"),
            ("role_arn=r".to_owned(), Kind::CredentialsMissing, "without source_profile"),
            ("role_arn=r\nsource_profile=x".to_owned(), Kind::CredentialsMissing, "is none"),
            ("role_arn=r\nsource_profile=default".to_owned(), Kind::CredentialsMissing, "source"),
            ("role_arn=r\nsource_profile=loop".to_owned(), Kind::InvalidField, "its own source"),
            (
                "role_arn=r\ncredential_source=Environment".to_owned(),
                Kind::CredentialsMissing,
                "so",
            ),
            ("role_arn=r\nweb_identity_token_file=/no".to_owned(), Kind::SecretUnresolved, "/no"),
            (format!("credential_process = echo {secret}"), Kind::SecretUnresolved, "not allowed"),
            (format!("aws_secret_access_key={secret}"), Kind::CredentialsMissing, "access_key_id"),
            (format!("aws_access_key_id={secret} 2"), Kind::CredentialsMissing, "secret_access"),
            (
                format!("aws_access_key_id={secret} 2\naws_secret_access_key={secret}"),
                Kind::SecretUnresolved,
                "aws_access_key_id of the AWS profile default",
            ),
        ] {
            let config = config.replace("=loop", "=b");
            let rest = "[profile b]\nrole_arn=r\nsource_profile=default";
            let trial = with(&format!("[default]\n{config}\n{rest}\n"));
            let (config_kind, found) = (kind, config.clone());
            assert!(!found.is_empty());
            trial.refuses_aws(config_kind, word);
        }
        let mut trial = Trial::new();
        trial.set("AWS_CONFIG_FILE", "/proc/self");
        trial.refuses_aws(Kind::SecretUnresolved, "/proc/self");
        let path = trial.home_bytes("config", b"[default]\n\xff");
        trial.set("AWS_CONFIG_FILE", &path);
        trial.refuses_aws(Kind::SecretUnresolved, "not UTF-8");
        let path = trial.home_bytes("config", &vec![b'a'; (1 << 20) + 1]);
        trial.set("AWS_CONFIG_FILE", &path);
        trial.refuses_aws(Kind::SecretUnresolved, "too large");
    }
}
