//! Edge tokens in queries: found, and taken out.

/// The parameter of a public URL.
pub(super) const PARAMETER: &str = "edge_token";

/// A query, without edge tokens.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parted {
    /// What is left, as it came; `None`: nothing.
    pub(super) rest: Option<String>,
    /// The tokens, decoded, at most two.
    pub(super) tokens: Vec<String>,
}

/// Takes the edge tokens out of a query, in whatever way their name is written. What is left stays byte for byte.
pub(super) fn part(query: &str) -> Parted {
    let mut tokens = Vec::new();
    let mut rest = Vec::new();
    for piece in query.split('&') {
        match url::form_urlencoded::parse(piece.as_bytes()).next() {
            Some((name, value)) if name == PARAMETER => {
                if tokens.len() < 2 {
                    tokens.push(value.into_owned());
                }
            }
            _ => rest.push(piece),
        }
    }
    let is_same = tokens.is_empty();
    let rest = (is_same || !rest.is_empty()).then(|| rest.join("&"));
    Parted { rest, tokens }
}

/// A URL without edge tokens in its query.
pub(super) fn without_tokens(url: &str) -> String {
    // A fragment has no place in a `Referer`.
    let url = url.split_once('#').map_or(url, |(url, _)| url);
    match url.split_once('?') {
        None => url.to_owned(),
        Some((before, query)) => match part(query).rest {
            Some(rest) => format!("{before}?{rest}"),
            None => before.to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tokens_are_taken_out_and_the_rest_stays_as_it_was() {
        let parted = |query: &str| {
            let Parted { rest, tokens } = part(query);
            (rest, tokens.join(","))
        };
        let rest = |text: &str| Some(text.to_owned());
        assert_eq!(parted("edge_token=abc"), (None, "abc".to_owned()));
        assert_eq!(parted("a=1&edge_token=abc&b=%20+&&c"), (rest("a=1&b=%20+&&c"), "abc".to_owned()));
        assert_eq!(parted("a=1"), (rest("a=1"), String::new()));
        assert_eq!(parted(""), (rest(""), String::new()));
        assert_eq!(parted("edge%5Ftoken=a%62c"), (None, "abc".to_owned()));
        assert_eq!(parted("edge_token"), (None, String::new()));
        assert_eq!(parted("edge_token=a&edge_token=b&edge_token=c"), (None, "a,b".to_owned()));
        assert_eq!(parted("Edge_Token=a&xedge_token=b"), (rest("Edge_Token=a&xedge_token=b"), String::new()));
    }

    #[test]
    fn a_referer_loses_its_token() {
        assert_eq!(without_tokens("https://a.example/p?edge_token=x"), "https://a.example/p");
        assert_eq!(without_tokens("https://a.example/p?q=1&edge_token=x#f"), "https://a.example/p?q=1");
        assert_eq!(without_tokens("https://a.example/p#edge_token=x"), "https://a.example/p");
    }

    proptest! {
        #[test]
        fn what_is_left_has_no_token(pieces in prop::collection::vec("(edge_token=|edge%5ftoken=|[a-z%&=+]{0,6}){0,3}", 0..6)) {
            let query = pieces.join("&");
            if let Some(rest) = part(&query).rest {
                prop_assert!(url::form_urlencoded::parse(rest.as_bytes()).all(|(name, _)| name != PARAMETER));
            }
        }
    }
}
