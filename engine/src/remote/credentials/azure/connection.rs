//! Connection strings ("Configure Azure Storage connection strings").

use secrecy::{ExposeSecret as _, SecretString};

use crate::error::{EngineError, Kind, Result};

/// The account of the emulator and its key, which are published and the same everywhere.
const EMULATED: &str = "devstoreaccount1";
const EMULATED_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
const EMULATED_URL: &str = "http://127.0.0.1:10000/devstoreaccount1";

/// What a connection string says.
#[derive(Default)]
pub(super) struct Connection {
    pub(super) account: Option<String>,
    pub(super) key: Option<SecretString>,
    pub(super) sas: Option<SecretString>,
    pub(super) endpoint: Option<String>,
}

impl Connection {
    /// Reads one; `named` is where it stands.
    ///
    /// # Errors
    /// `InvalidField` for what is none. Nothing of it is repeated.
    pub(super) fn parse(text: &str, named: &str) -> Result<Self> {
        let invalid = |why: &str| {
            EngineError::new(Kind::InvalidField, format!("the connection string in {named} {why}"))
        };
        let mut found = Self::default();
        let (mut scheme, mut suffix) = ("https".to_owned(), "core.windows.net".to_owned());
        let mut emulated = false;
        for part in text.trim().split(';').filter(|part| !part.trim().is_empty()) {
            let (name, value) =
                part.split_once('=').ok_or_else(|| invalid("is not name=value;…"))?;
            let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
            match name.as_str() {
                "accountname" => found.account = Some(value.to_owned()),
                "accountkey" => found.key = Some(SecretString::from(value)),
                "sharedaccesssignature" => found.sas = Some(SecretString::from(value)),
                "blobendpoint" => found.endpoint = Some(value.to_owned()),
                "defaultendpointsprotocol" => scheme = value.to_ascii_lowercase(),
                "endpointsuffix" => value.clone_into(&mut suffix),
                "usedevelopmentstorage" => emulated = value.eq_ignore_ascii_case("true"),
                // Other services of the account.
                _ => {}
            }
        }
        if emulated {
            return Ok(Self::emulator());
        }
        if found.endpoint.is_none()
            && let Some(account) = &found.account
        {
            found.endpoint = Some(format!("{scheme}://{account}.blob.{suffix}"));
        }
        if found.endpoint.is_none() {
            return Err(invalid("names neither AccountName nor BlobEndpoint"));
        }
        let empty = |secret: &Option<SecretString>| {
            secret.as_ref().is_some_and(|text| text.expose_secret().is_empty())
        };
        if empty(&found.key) || empty(&found.sas) {
            return Err(invalid("holds an empty key or signature"));
        }
        if found.key.is_some() && found.account.is_none() {
            return Err(invalid("has AccountKey without AccountName"));
        }
        Ok(found)
    }

    fn emulator() -> Self {
        Self {
            account: Some(EMULATED.to_owned()),
            key: Some(SecretString::from(EMULATED_KEY)),
            sas: None,
            endpoint: Some(EMULATED_URL.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_read_and_bad_ones_not_repeated() {
        let parse = |text: &str| Connection::parse(text, "A");
        let whole = parse("DefaultEndpointsProtocol=https;AccountName=a;AccountKey=aGk=;EndpointSuffix=core.chinacloudapi.cn;").unwrap();
        assert_eq!(whole.endpoint.as_deref(), Some("https://a.blob.core.chinacloudapi.cn"));
        assert_eq!(whole.key.unwrap().expose_secret(), "aGk=");
        let sas = parse("BlobEndpoint=https://b/;SharedAccessSignature=sv=1&sig=x%3D").unwrap();
        assert_eq!(sas.endpoint.as_deref(), Some("https://b/"));
        assert_eq!(sas.sas.unwrap().expose_secret(), "sv=1&sig=x%3D");
        let emulated = parse("UseDevelopmentStorage=true").unwrap();
        assert_eq!(emulated.account.as_deref(), Some(EMULATED));
        assert_eq!(emulated.endpoint.as_deref(), Some(EMULATED_URL));
        for bad in [
            "hunter2",
            "AccountKey=hunter2",
            "BlobEndpoint=https://b;AccountKey=hunter2",
            "AccountName=hunter2;AccountKey=",
            "UseDevelopmentStorage=false",
            "",
        ] {
            let error = parse(bad).map(|_| ()).unwrap_err();
            assert_eq!(error.kind(), Kind::InvalidField, "{bad}");
            assert!(!format!("{error:?}").contains("hunter2"));
        }
    }
}
