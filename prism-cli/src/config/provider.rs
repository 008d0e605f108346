//! Model providers: where models are asked, and with which key.

use std::path::PathBuf;

use prism_server_core::Prices;
use prism_types::Secret;
use serde::Deserialize;

use crate::{environment, failure::Failure};

/// The name of the provider of all models that no other one serves.
pub(super) const EVERY_MODEL: &str = "*";
const BASE_URL_VARIABLE: &str = "PRISM_MODEL_BASE_URL";
const KEY_VARIABLE: &str = "PRISM_MODEL_API_KEY";

/// A provider of models with the API of OpenAI.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Provider {
    /// Such as `https://api.example.com/v1`.
    base_url: String,
    /// The environment variable with its key.
    #[serde(default)]
    api_key_env: Option<String>,
    /// The file with its key.
    #[serde(default)]
    api_key_file: Option<PathBuf>,
    /// Credits for a million tokens that it reads. Default: 1,000,000.
    #[serde(default)]
    input_price: Option<u64>,
    /// Credits for a million tokens that it writes. Default: 1,000,000.
    #[serde(default)]
    output_price: Option<u64>,
}

impl Provider {
    /// The provider that two environment variables give.
    ///
    /// # Errors
    /// When they are not fit.
    pub(super) fn of_environment() -> Result<Option<Self>, Failure> {
        let Some(base_url) = environment::variable(BASE_URL_VARIABLE)? else { return Ok(None) };
        let key = environment::variable(KEY_VARIABLE)?.map(|_| KEY_VARIABLE.to_owned());
        Ok(Some(Self { base_url, api_key_env: key, api_key_file: None, input_price: None, output_price: None }))
    }

    /// The provider with its key.
    ///
    /// # Errors
    /// When the URL is not fit, or the key is not where the configuration says. The message does not show the key.
    pub(crate) fn resolve(&self, name: &str) -> Result<prism_server_core::Provider, Failure> {
        let provider = prism_server_core::Provider::new(&self.base_url, self.api_key(name)?);
        let provider = provider
            .map_err(|error| Failure::usage(format!("{}: {error}", place(name))).advice(self.where_to_mend()))?;
        let default = Prices::default();
        Ok(provider.prices(Prices {
            input: self.input_price.unwrap_or(default.input),
            output: self.output_price.unwrap_or(default.output),
        }))
    }

    /// Its key; `None` when it needs none.
    fn api_key(&self, name: &str) -> Result<Option<Secret>, Failure> {
        let place = place(name);
        let key = match (&self.api_key_env, &self.api_key_file) {
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => {
                let message = format!("{place} names both `api_key_env` and `api_key_file`");
                return Err(Failure::usage(message).advice("Leave one of them out."));
            }
            (Some(variable), None) => environment::variable(variable)?.ok_or_else(|| {
                Failure::usage(format!("the environment variable {variable}, which {place} names, is not set"))
            })?,
            (None, Some(path)) => std::fs::read_to_string(path).map_err(|error| {
                Failure::usage(format!("{}, which {place} names, cannot be read: {error}", path.display()))
            })?,
        };
        Ok(Some(Secret::from(key.trim().to_owned())))
    }

    fn where_to_mend(&self) -> String {
        format!("Mend {BASE_URL_VARIABLE} and {KEY_VARIABLE}, or `providers` in the configuration file.")
    }
}

fn place(name: &str) -> String {
    format!("the provider `{name}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider(text: &str) -> Result<Provider, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn the_key_comes_from_a_variable_or_a_file_and_is_never_in_the_configuration() {
        assert!(provider("base_url = \"https://api.example.com/v1\"\napi_key = \"x\"").is_err());
        let none = provider("base_url = \"http://127.0.0.1:1/v1\"").unwrap();
        assert_eq!(none.api_key("x").unwrap(), None);

        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        std::fs::write(&path, "a-key\n").unwrap();
        let file = format!("base_url = \"https://api.example.com/v1\"\napi_key_file = {path:?}");
        let key = provider(&file).unwrap().api_key("x").unwrap();
        assert_eq!(key.unwrap().expose(), "a-key");
        std::fs::write(&path, "a key").unwrap();
        assert!(provider(&file).unwrap().resolve("x").unwrap_err().to_string().contains("visible ASCII"));

        let unset = provider("base_url = \"https://api.example.com/v1\"\napi_key_env = \"PRISM_UNSET\"");
        let error = unset.unwrap().resolve("anthropic").unwrap_err().to_string();
        assert!(error.contains("PRISM_UNSET") && error.contains("`anthropic`"), "{error}");
        let both = provider("base_url = \"http://a/v1\"\napi_key_env = \"A\"\napi_key_file = \"b\"");
        assert!(both.unwrap().resolve("x").unwrap_err().to_string().contains("both"));
    }

    #[test]
    fn a_base_url_that_is_none_is_refused_with_the_provider() {
        let error = provider("base_url = \"api.example.com\"").unwrap().resolve("x").unwrap_err().to_string();
        assert!(error.contains("`x`") && error.contains("base URL"), "{error}");
    }
}
