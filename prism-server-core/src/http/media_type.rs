//! What a file is told to be: by its name, and never something that a browser would run.

const KNOWN: &[(&str, &str)] = &[
    ("avif", "image/avif"),
    ("csv", "text/csv; charset=utf-8"),
    ("gif", "image/gif"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("json", "application/json"),
    ("log", "text/plain; charset=utf-8"),
    ("md", "text/markdown; charset=utf-8"),
    ("mov", "video/quicktime"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("ogg", "audio/ogg"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("txt", "text/plain; charset=utf-8"),
    ("wav", "audio/wav"),
    ("webm", "video/webm"),
    ("webp", "image/webp"),
    ("zip", "application/zip"),
];

/// The type of a file with this name; `application/octet-stream` when it is not one of a few harmless ones.
pub(crate) fn of(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension).to_ascii_lowercase();
    let known = KNOWN.binary_search_by_key(&extension.as_str(), |(extension, _)| extension);
    known.map_or("application/octet-stream", |at| KNOWN[at].1)
}

/// `Content-Disposition` that has the file saved under its name (RFC 6266), whatever is in the name.
pub(crate) fn attachment(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '%') || c == ' ';
    let plain: String = name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    if plain == name {
        return format!("attachment; filename=\"{plain}\"");
    }
    // RFC 8187, section 3.2.1: what need not be encoded.
    let is_free = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte);
    let encoded: String = name
        .bytes()
        .map(|byte| if is_free(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect();
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_is_told_to_be_what_a_browser_runs() {
        assert!(KNOWN.is_sorted_by_key(|(extension, _)| extension));
        assert_eq!(of("a/b.PNG"), "image/png");
        assert_eq!(of("notes.md"), "text/markdown; charset=utf-8");
        for name in
            ["a.html", "a.htm", "a.svg", "a.js", "a.xml", "a.css", "a.xhtml", "a", ".png.", "", "a.b.c"]
        {
            assert_eq!(of(name), "application/octet-stream", "{name}");
        }
    }

    #[test]
    fn names_are_told_in_both_forms() {
        assert_eq!(attachment("a b.md"), "attachment; filename=\"a b.md\"");
        assert_eq!(attachment("ü\".md"), "attachment; filename=\"__.md\"; filename*=UTF-8''%C3%BC%22.md");
    }

    proptest! {
        #[test]
        fn any_name_makes_a_header(name in any::<String>()) {
            let value = HeaderValue::from_str(&attachment(&name)).unwrap();
            prop_assert_eq!(value.to_str().unwrap().matches('"').count(), 2);
        }
    }
}
