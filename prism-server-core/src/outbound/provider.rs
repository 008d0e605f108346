//! Who serves models, and what they cost.

use std::collections::BTreeMap;

use http::HeaderValue;
use prism_types::Secret;
use url::Url;

/// A server of models with the chat completions of the OpenAI API. The operator gives it, so it may be anywhere,
/// also on the machine itself.
#[derive(Clone)]
pub struct Provider {
    base_url: Url,
    api_key: Option<Secret>,
    authorization: Option<HeaderValue>,
    prices: Prices,
}

/// What tokens cost, in credits for 1,000,000 of them. Default: 1,000,000 each, which is one credit a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a pair of numbers that operators write")]
pub struct Prices {
    /// Tokens sent to the model.
    pub input: u64,
    /// Tokens that the model answers.
    pub output: u64,
}

/// Why a provider cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidProvider {
    /// The base URL is none.
    #[error(
        "{0:?} is not the base URL of a provider: it must be an absolute http or https URL without user name, \
         password, query and fragment, such as `https://api.example.com/v1`"
    )]
    BaseUrl(String),
    /// The API key cannot be sent in a header.
    #[error("the API key of a provider must be visible ASCII characters")]
    ApiKey,
}

impl Provider {
    /// A provider at this base URL, such as `https://api.example.com/v1`, to which `/chat/completions` is added.
    /// The key is sent as a bearer token.
    ///
    /// # Errors
    /// When the URL or the key is not fit.
    pub fn new(base_url: &str, api_key: Option<Secret>) -> Result<Self, InvalidProvider> {
        let invalid = || InvalidProvider::BaseUrl(base_url.chars().take(200).collect());
        let mut url = Url::parse(base_url).map_err(|_| invalid())?;
        let plain = url.username().is_empty() && url.password().is_none();
        let fits = matches!(url.scheme(), "http" | "https") && url.host().is_some() && plain;
        if !fits || url.query().is_some() || url.fragment().is_some() {
            // What may hold a password is not told.
            return Err(if plain { invalid() } else { InvalidProvider::BaseUrl("…".to_owned()) });
        }
        let path = format!("{}/chat/completions", url.path().trim_end_matches('/'));
        url.set_path(&path);
        let authorization = api_key.as_ref().map(bearer).transpose()?;
        Ok(Self { base_url: url, api_key, authorization, prices: Prices::default() })
    }

    /// Sets what tokens cost.
    #[must_use]
    pub fn prices(mut self, prices: Prices) -> Self {
        self.prices = prices;
        self
    }

    pub(super) fn chat_completions(&self) -> &Url {
        &self.base_url
    }

    pub(super) fn api_key(&self) -> Option<&Secret> {
        self.api_key.as_ref()
    }

    pub(super) fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }

    pub(super) fn cost(&self) -> Prices {
        self.prices
    }
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { base_url, prices, .. } = self;
        f.debug_struct("Provider")
            .field("url", &base_url.as_str())
            .field("prices", prices)
            .finish_non_exhaustive()
    }
}

impl Prices {
    /// The price of a call, rounded up.
    pub fn credits(self, input_tokens: u64, output_tokens: u64) -> u64 {
        let price = |tokens: u64, price: u64| u128::from(tokens) * u128::from(price);
        let micros = price(input_tokens, self.input).saturating_add(price(output_tokens, self.output));
        u64::try_from(micros.div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }
}

impl Default for Prices {
    fn default() -> Self {
        Self { input: 1_000_000, output: 1_000_000 }
    }
}

/// The provider of a model, and the model's name there. `anthropic/x` goes to the provider `anthropic` as `x`, or
/// else to the provider `*` as it is.
pub(super) fn of<'a>(
    providers: &'a BTreeMap<String, Provider>,
    model: &'a str,
) -> Option<(&'a Provider, &'a str)> {
    let own = model.split_once('/').and_then(|(prefix, name)| Some((providers.get(prefix)?, name)));
    own.or_else(|| Some((providers.get("*")?, model)))
}

fn bearer(key: &Secret) -> Result<HeaderValue, InvalidProvider> {
    let fits = !key.expose().is_empty() && key.expose().bytes().all(|byte| byte.is_ascii_graphic());
    let value = HeaderValue::from_str(&format!("Bearer {}", key.expose())).ok().filter(|_| fits);
    let mut value = value.ok_or(InvalidProvider::ApiKey)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_rounded_up_for_each_call() {
        let prices = Prices { input: 3, output: 15_000_000 };
        assert_eq!(prices.credits(0, 0), 0);
        assert_eq!(prices.credits(1, 0), 1);
        assert_eq!(prices.credits(1_000_000, 0), 3);
        assert_eq!(prices.credits(1_000_001, 2), 34);
        assert_eq!(Prices::default().credits(3, 4), 7);
        assert_eq!(prices.credits(u64::MAX, u64::MAX), u64::MAX);
    }

    #[test]
    fn a_model_goes_to_its_own_provider_or_to_the_one_for_all() {
        let at = |url: &str| Provider::new(url, None).unwrap();
        let mut providers = BTreeMap::from([("a".to_owned(), at("http://a/v1/"))]);
        let found = |providers: &BTreeMap<String, Provider>, model: &str| {
            of(providers, model).map(|(provider, name)| format!("{} {name}", provider.chat_completions()))
        };
        assert_eq!(found(&providers, "a/b/c").unwrap(), "http://a/v1/chat/completions b/c");
        assert_eq!(found(&providers, "b/c"), None);
        providers.insert("*".to_owned(), at("http://all"));
        assert_eq!(found(&providers, "b/c").unwrap(), "http://all/chat/completions b/c");
    }

    #[test]
    fn a_base_url_and_a_key_are_checked() {
        for url in ["", "api.example.com", "ftp://x", "https://u:hunter2@x/v1", "http://x/?a", "http://x/#a"]
        {
            let error = Provider::new(url, None).unwrap_err();
            assert!(matches!(error, InvalidProvider::BaseUrl(_)) && !error.to_string().contains("hunter2"));
        }
        for key in ["", "a b", "a\nb", "é"] {
            assert_eq!(Provider::new("http://x", Some(key.into())).unwrap_err(), InvalidProvider::ApiKey);
        }
        let provider = Provider::new("http://x", Some("hunter2".into())).unwrap();
        assert!(!format!("{provider:?}").contains("hunter2"));
    }
}
