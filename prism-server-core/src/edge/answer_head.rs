//! Heads of answers on their way to a client.

use http::{
    HeaderMap, HeaderName, HeaderValue, Uri,
    header::{ALT_SVC, CACHE_CONTROL, LOCATION, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY},
};

use super::{cookies::Cookies, place::Place, request_head::remove_hop_by_hop};

/// What would be about more than the service where several share an origin.
const ABOUT_THE_ORIGIN: [HeaderName; 6] = [
    HeaderName::from_static("clear-site-data"),
    HeaderName::from_static("nel"),
    HeaderName::from_static("report-to"),
    HeaderName::from_static("reporting-endpoints"),
    HeaderName::from_static("service-worker-allowed"),
    STRICT_TRANSPORT_SECURITY,
];
/// What tells caches in front more than `Cache-Control` does.
const ABOUT_CACHES: [HeaderName; 2] =
    [HeaderName::from_static("cdn-cache-control"), HeaderName::from_static("surrogate-control")];
/// Policies under which no other origin is told the query of a URL.
const SAFE_POLICIES: [&str; 6] = [
    "no-referrer",
    "origin",
    "origin-when-cross-origin",
    "same-origin",
    "strict-origin",
    "strict-origin-when-cross-origin",
];

/// Makes a head what a client gets. `host` is what the client calls us; `by_token` that the URL has a token.
pub(super) fn pass_on(headers: &mut HeaderMap, cookies: Cookies<'_>, host: &str, by_token: bool) {
    remove_hop_by_hop(headers);
    // Another way to the service would be one around us.
    headers.remove(ALT_SVC);
    cookies.confine(headers);
    if !cookies.place.has_own_origin() {
        for name in &ABOUT_THE_ORIGIN {
            headers.remove(name);
        }
        relocate(headers, cookies.place, host);
    }
    keep_private(headers);
    if by_token {
        keep_referrer(headers);
    }
}

/// Leads redirects to where the service is for the client.
fn relocate(headers: &mut HeaderMap, place: &Place, host: &str) {
    let Some(location) = headers.get(LOCATION).and_then(|location| location.to_str().ok()) else { return };
    let path = if location.starts_with('/') && !location.starts_with("//") {
        location.to_owned()
    } else {
        let Ok(uri) = location.parse::<Uri>() else { return };
        let is_here = uri.authority().is_some_and(|authority| authority.as_str().eq_ignore_ascii_case(host));
        match uri.path_and_query() {
            Some(path) if is_here => {
                let fragment = location.find('#').map_or("", |at| &location[at..]);
                format!("{path}{fragment}")
            }
            _ => return,
        }
    };
    let is_below = path.strip_prefix(&place.root).is_some_and(|rest| rest.starts_with('/'));
    if let Some(to) = HeaderValue::try_from(format!("{}{path}", place.root)).ok().filter(|_| !is_below) {
        headers.insert(LOCATION, to);
    }
}

/// Keeps answers out of caches that several people use: whoever asked had a token, the next one may not.
fn keep_private(headers: &mut HeaderMap) {
    for name in &ABOUT_CACHES {
        headers.remove(name);
    }
    let told = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let told = told.flat_map(|value| value.split(',')).map(str::trim).filter(|piece| !piece.is_empty());
    let is_for_all = |piece: &&str| {
        let name = piece.split('=').next().unwrap_or_default().trim();
        name.eq_ignore_ascii_case("public") || name.eq_ignore_ascii_case("s-maxage")
    };
    let mut kept: Vec<_> = told.filter(|piece| !is_for_all(piece)).collect();
    let is_kept =
        |piece: &&str| piece.eq_ignore_ascii_case("private") || piece.eq_ignore_ascii_case("no-store");
    if !kept.iter().any(is_kept) {
        kept.push("private");
    }
    // What was a header's value in pieces is one when it is put together.
    let kept = HeaderValue::try_from(kept.join(", ")).unwrap_or(HeaderValue::from_static("no-store"));
    headers.insert(CACHE_CONTROL, kept);
}

/// Keeps a URL with a token from other origins.
fn keep_referrer(headers: &mut HeaderMap) {
    let mut policies = headers.get_all(REFERRER_POLICY).iter().peekable();
    let is_safe = policies.peek().is_some()
        && policies.all(|value| {
            let value = value.to_str().unwrap_or_default().to_ascii_lowercase();
            value.split(',').all(|policy| SAFE_POLICIES.contains(&policy.trim()))
        });
    if !is_safe {
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::address::Label;

    fn passed(root: &str, by_token: bool, headers: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::try_from(*value).unwrap());
        }
        let place =
            Place { label: Label::parse("80-s-a").unwrap(), root: root.to_owned(), path: "/".to_owned() };
        pass_on(&mut map, Cookies { place: &place, is_tls: false }, "h.example:1", by_token);
        map
    }

    #[test]
    fn redirects_lead_to_the_service() {
        let to =
            |root: &str, location: &str| passed(root, false, &[("location", location)])["location"].clone();
        for (location, expected) in [
            ("/login?x#f", "/edge/80-s-a/login?x#f"),
            ("/edge/80-s-a/login", "/edge/80-s-a/login"),
            ("/edge/80-s-ab", "/edge/80-s-a/edge/80-s-ab"),
            ("http://H.example:1/a?b#c", "/edge/80-s-a/a?b#c"),
            ("http://other.example/a", "http://other.example/a"),
            ("//other.example/a", "//other.example/a"),
            ("login", "login"),
            ("?q", "?q"),
            ("", ""),
        ] {
            assert_eq!(to("/edge/80-s-a", location), expected, "{location}");
            assert_eq!(to("", location), location);
        }
    }

    #[test]
    fn answers_are_kept_by_whoever_asked_only() {
        let kept = |told: &[&str]| {
            let headers: Vec<_> = told.iter().map(|value| ("cache-control", *value)).collect();
            passed("", false, &headers)["cache-control"].clone()
        };
        assert_eq!(kept(&[]), "private");
        assert_eq!(kept(&["public, max-age=60", "S-MaxAge=9"]), "max-age=60, private");
        assert_eq!(kept(&["no-store"]), "no-store");
        assert_eq!(kept(&["Private,max-age=1"]), "Private, max-age=1");
        assert_eq!(kept(&["no-cache=\"a, b\""]), "no-cache=\"a, b\", private");
        assert!(!passed("", false, &[("cdn-cache-control", "public")]).contains_key("cdn-cache-control"));
    }

    #[test]
    fn a_url_with_a_token_is_told_to_no_other_origin() {
        let policy = |by_token, told: &[&str]| {
            let headers: Vec<_> = told.iter().map(|value| ("referrer-policy", *value)).collect();
            passed("", by_token, &headers).get("referrer-policy").cloned()
        };
        assert_eq!(policy(true, &[]).unwrap(), "same-origin");
        assert_eq!(policy(true, &["unsafe-url"]).unwrap(), "same-origin");
        assert_eq!(policy(true, &["no-referrer", "unsafe-url"]).unwrap(), "same-origin");
        assert_eq!(policy(true, &["No-Referrer, strict-origin"]).unwrap(), "No-Referrer, strict-origin");
        assert_eq!(policy(false, &[]), None);
        assert_eq!(policy(false, &["unsafe-url"]).unwrap(), "unsafe-url");
    }

    #[test]
    fn an_app_speaks_for_itself_only() {
        let all = [
            ("strict-transport-security", "max-age=1"),
            ("clear-site-data", "\"*\""),
            ("service-worker-allowed", "/"),
            ("nel", "{}"),
            ("report-to", "{}"),
            ("alt-svc", "h3=\":1\""),
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("proxy-authenticate", "Basic"),
            ("set-cookie", "a=1; Path=/"),
            ("x-kept", "1"),
        ];
        let shared = passed("/edge/80-s-a", false, &all);
        assert_eq!(shared.len(), 3, "{shared:?}");
        assert_eq!(
            (&shared["x-kept"], &shared["set-cookie"]),
            (&"1".parse().unwrap(), &"a=1; Path=/edge/80-s-a/".parse().unwrap())
        );
        let own = passed("", false, &all);
        assert!(
            own.contains_key("clear-site-data") && !own.contains_key("alt-svc") && !own.contains_key("x-hop")
        );
    }
}
