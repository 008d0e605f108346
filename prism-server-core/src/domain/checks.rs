//! Checks of single values, shared by every dialect. Each returns the checked value or the rule that it
//! breaks, as a phrase that follows a field's name.

use url::Url;

use super::limits;

/// A name of a skill or an MCP server: 1 to 64 characters of `A-Z a-z 0-9 _ -`.
pub fn slug(text: &str) -> Result<String, String> {
    let fits = (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if fits { Ok(text.to_owned()) } else { Err("must be 1 to 64 letters, digits, `_` or `-`".to_owned()) }
}

/// A model in `provider/model` form, 3 to 255 printable ASCII characters without spaces.
pub fn model(text: &str) -> Result<String, String> {
    let parts = text.split_once('/').filter(|(provider, model)| !provider.is_empty() && !model.is_empty());
    let fits = parts.is_some() && text.len() <= limits::MODEL && text.bytes().all(|b| b.is_ascii_graphic());
    if fits {
        Ok(text.to_owned())
    } else {
        Err("must have the form `provider/model`, such as `anthropic/claude-sonnet-4.5`".to_owned())
    }
}

/// The name of an environment variable: 1 to 128 characters of `A-Z a-z 0-9 _`, not starting with a digit.
pub fn variable(text: &str) -> Result<String, String> {
    let fits = (1..=128).contains(&text.len())
        && !text.as_bytes().first().is_some_and(u8::is_ascii_digit)
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if fits {
        Ok(text.to_owned())
    } else {
        Err("must be an environment variable name: 1 to 128 letters, digits or `_`, not starting with a digit"
            .to_owned())
    }
}

/// An absolute `http` or `https` URL with a host and without a user name or password.
pub fn http_url(text: &str) -> Result<String, String> {
    let rule = || format!("must be an absolute http or https URL of at most {} bytes", limits::URL);
    if text.len() > limits::URL {
        return Err(rule());
    }
    let url = Url::parse(text).map_err(|_| rule())?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(rule());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not contain a user name or password; use `secrets`".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_at_the_limit_and_one_past_it() {
        assert!(slug(&"a".repeat(64)).is_ok() && slug(&"a".repeat(65)).is_err() && slug("").is_err());
        assert!(variable(&"A".repeat(128)).is_ok() && variable(&"A".repeat(129)).is_err());
        assert!(model(&format!("p/{}", "m".repeat(253))).is_ok());
        assert!(model(&format!("p/{}", "m".repeat(254))).is_err());
        let url = |len: usize| format!("https://x/{}", "a".repeat(len - 10));
        assert!(http_url(&url(2048)).is_ok() && http_url(&url(2049)).is_err());
    }

    #[test]
    fn forms_are_checked() {
        assert!(
            model("claude").is_err()
                && model("/x").is_err()
                && model("x/").is_err()
                && model("a/b c").is_err()
        );
        assert!(variable("1A").is_err() && variable("A-B").is_err() && variable("_a1").is_ok());
        for url in
            ["example.com", "ftp://x/", "file:///etc/passwd", "http://", "https://u:p@x/", "javascript:1"]
        {
            assert!(http_url(url).is_err(), "{url}");
        }
        assert!(http_url("http://127.0.0.1:1/x?y").is_ok());
    }
}
