//! Checks of single values, shared by every dialect. Each returns the checked value or the rule that it
//! breaks, as a phrase that follows a field's name.

use url::Url;

use super::{limits, tool, variables};

/// A name of a skill or an MCP server: 1 to 64 characters of `A-Z a-z 0-9 _ -`.
pub fn slug(text: &str) -> Result<String, String> {
    let fits = (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if fits { Ok(text.to_owned()) } else { Err("must be 1 to 64 letters, digits, `_` or `-`".to_owned()) }
}

/// The name of an MCP server: as of a skill, and not the word for what is no server's.
pub fn server_name(text: &str) -> Result<String, String> {
    if text == tool::BUILTIN {
        return Err(format!("must not be `{text}`, which is the origin of the agent's own tools"));
    }
    slug(text)
}

/// The name of a tool as an MCP server reports it: 1 to 255 characters.
pub fn tool_name(text: &str) -> Result<String, String> {
    let fits = (1..=limits::LABEL).contains(&text.chars().count()) && !text.contains('\0');
    if fits {
        Ok(text.to_owned())
    } else {
        Err(format!("must have 1 to {} characters, and no NUL", limits::LABEL))
    }
}

/// A pattern of tools that need an approval: of built-in tools, at least one of which it matches, or
/// `SERVER/TOOL`; 1 to 320 characters.
pub fn tool_pattern(text: &str) -> Result<String, String> {
    if !(1..=limits::APPROVAL_PATTERN).contains(&text.chars().count()) {
        return Err(format!("must have 1 to {} characters", limits::APPROVAL_PATTERN));
    }
    if let Some((server, tool)) = text.split_once('/') {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-*".contains(&byte);
        return if !server.is_empty() && !tool.is_empty() && server.bytes().all(fits) {
            Ok(text.to_owned())
        } else {
            Err("must name a server and a tool, such as `acme/*`; `*` stands for any characters".to_owned())
        };
    }
    if tool::matches_builtin(text) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "matches no built-in tool that does something, of {}; tools of MCP servers are named `SERVER/TOOL`, such as `*/publish_*`",
        tool::BUILTIN_TOOLS.join(", ")
    ))
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

/// The name of a header for an MCP server: a token of at most 128 characters, none that the gateway or the
/// protocol sets by itself.
pub fn header_name(text: &str) -> Result<String, String> {
    const RESERVED: [&str; 14] = [
        "accept",
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "keep-alive",
        "last-event-id",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !(1..=128).contains(&text.len()) || !text.bytes().all(token) {
        return Err("must be a header's name: 1 to 128 letters, digits or ``!#$%&'*+-.^_`|~``".to_owned());
    }
    let name = text.to_ascii_lowercase();
    if RESERVED.contains(&name.as_str())
        || ["mcp-", "x-prism-", "proxy-"].iter().any(|prefix| name.starts_with(prefix))
    {
        return Err(format!("must not be `{name}`, which is set by the gateway"));
    }
    Ok(text.to_owned())
}

/// The value of a header for an MCP server: 1 to 4,096 printable ASCII characters, no space at the ends, with
/// `${NAME}` for secrets.
pub fn header_value(text: &str) -> Result<String, String> {
    let printable = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    if !(1..=limits::HEADER_VALUE).contains(&text.len()) || !printable || text.trim() != text {
        return Err(format!(
            "must have 1 to {} printable ASCII characters, and no space at its ends",
            limits::HEADER_VALUE
        ));
    }
    variables::parts(text)?;
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
    fn patterns_name_what_there_can_be() {
        for pattern in ["shell", "*", "*_file", "acme/*", "*/publish_*", "a-c*/x/y", "a/é"] {
            assert!(tool_pattern(pattern).is_ok(), "{pattern}");
        }
        for pattern in ["", "shel", "publish_*", "/x", "x/", "a b/x", "builtin:shell", "Shell"] {
            assert!(tool_pattern(pattern).is_err(), "{pattern}");
        }
        let longest = format!("a/{}", "é".repeat(318));
        assert!(tool_pattern(&longest).is_ok() && tool_pattern(&(longest + "x")).is_err());
        assert!(
            server_name("acme").is_ok() && server_name("builtin").is_err() && server_name("a/b").is_err()
        );
        assert!(tool_name(&"é".repeat(255)).is_ok() && tool_name(&"é".repeat(256)).is_err());
        assert!(tool_name("").is_err() && tool_name("a\0").is_err());
    }

    #[test]
    fn headers_are_checked() {
        assert!(header_name("Authorization").is_ok() && header_name("X-Api-Key").is_ok());
        assert!(header_name(&"a".repeat(128)).is_ok() && header_name(&"a".repeat(129)).is_err());
        for name in
            ["", "a b", "a:b", "é", "a\n", "Host", "CONTENT-LENGTH", "Mcp-Session-Id", "x-prism-customer-id"]
        {
            assert!(header_name(name).is_err(), "{name}");
        }
        assert!(header_value(&"a".repeat(4096)).is_ok() && header_value(&"a".repeat(4097)).is_err());
        assert!(header_value("Bearer ${TOKEN}").is_ok() && header_value("$5").is_ok());
        for value in ["", " a", "a ", "a\nb", "é", "${", "${1}"] {
            assert!(header_value(value).is_err(), "{value}");
        }
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
