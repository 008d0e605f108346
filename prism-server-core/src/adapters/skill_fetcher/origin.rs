//! Origins, and their replacement during development.

use url::Url;

/// Where the URLs of one origin are fetched from instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::adapters) struct Replacement {
    /// The origin in URLs.
    origin: Url,
    /// The origin that is asked.
    target: Url,
}

/// Why a text is not an origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not an origin: it must be a scheme, a host and, unless it is the usual one, a port, such as \
         `https://example.com` or `http://127.0.0.1:9000`, and nothing else"
)]
pub struct InvalidOrigin(String);

impl Replacement {
    pub(in crate::adapters) fn new(origin: &str, target: &str) -> Result<Self, InvalidOrigin> {
        Ok(Self { origin: parse(origin)?, target: parse(target)? })
    }

    /// Where to fetch a URL of this origin; `None` when it is of another.
    pub(in crate::adapters) fn apply(&self, url: &Url) -> Option<Url> {
        if url.origin() != self.origin.origin() {
            return None;
        }
        let mut replaced = self.target.clone();
        replaced.set_path(url.path());
        replaced.set_query(url.query());
        Some(replaced)
    }
}

/// An origin in its canonical spelling, which is the only one that is taken. A `*` is a character of hosts to
/// the URL standard; here it could only be meant as a wildcard, which there is not.
fn parse(text: &str) -> Result<Url, InvalidOrigin> {
    let url = Url::parse(text).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.origin().ascii_serialization() == text
            && !text.contains('*')
    });
    url.ok_or_else(|| InvalidOrigin(text.chars().take(200).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_origins_in_their_canonical_spelling_are_taken() {
        for origin in ["https://example.com", "http://127.0.0.1:9000", "http://[::1]:1", "http://localhost"] {
            assert!(parse(origin).is_ok(), "{origin}");
        }
        for text in [
            "",
            "example.com",
            "https://",
            "https://example.com/",
            "https://example.com/a",
            "https://example.com?a",
            "https://example.com#a",
            "https://a@example.com",
            "https://example.com:443",
            "https://Example.com",
            "HTTPS://example.com",
            "ftp://example.com",
            "http://2130706433",
            " https://example.com",
            "null",
            "file:///a",
            "https://*.example.com",
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains("is not an origin"), "{text}");
        }
    }

    #[test]
    fn path_and_query_are_kept_and_other_origins_left() {
        let replacement = Replacement::new("https://example.com", "http://127.0.0.1:9000").unwrap();
        let applied = |url: &str| replacement.apply(&Url::parse(url).unwrap()).map(String::from);
        for (url, expected) in [
            ("https://example.com", "http://127.0.0.1:9000/"),
            ("https://EXAMPLE.com:443/a/../b?c=d#e", "http://127.0.0.1:9000/b?c=d"),
            ("https://example.com//other.com/a", "http://127.0.0.1:9000//other.com/a"),
        ] {
            assert_eq!(applied(url).as_deref(), Some(expected), "{url}");
        }
        for url in ["http://example.com/", "https://example.com:8443/", "https://www.example.com/"] {
            assert_eq!(applied(url), None, "{url}");
        }
    }
}
