//! Heads of requests on their way to a service.

use std::net::SocketAddr;

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Uri, Version,
    header::{
        CONNECTION, CONTENT_LENGTH, EXPECT, FORWARDED, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION,
        REFERER, TE, TRANSFER_ENCODING, UPGRADE,
    },
    request::Parts,
    uri::PathAndQuery,
};

use super::{Limits, place::Place, query, refusal::Refusal};

/// The header for services without public traffic.
pub(super) const TRAFFIC_TOKEN: HeaderName = HeaderName::from_static("x-nullspace-traffic-access-token");
/// Another credential that clients of this API may send.
const PROXY_TOKEN: HeaderName = HeaderName::from_static("x-nullspace-preview-proxy-token");
pub(super) const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");

/// Headers of one connection, besides those that `Connection` names (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("proxy-authentication-info"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Checks that a request is no larger than it may be, and is one that can be passed on.
pub(super) fn check(parts: &Parts, limits: &Limits) -> Result<(), Refusal> {
    if parts.method == Method::CONNECT {
        return Err(Refusal::MethodNotAllowed);
    }
    if parts.uri.path_and_query().map_or(0, |target| target.as_str().len()) > limits.target {
        return Err(Refusal::TargetTooLong);
    }
    let size: usize = parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if size > limits.request_head { Err(Refusal::HeadTooLarge) } else { Ok(()) }
}

/// The protocol that a request asks for besides HTTP/1.1, such as `websocket`. HTTP/2 is not one that is passed on: a
/// service may always ignore that wish.
pub(super) fn upgrade(parts: &Parts) -> Option<HeaderValue> {
    let asks = named_by_connection(&parts.headers).any(|name| name.eq_ignore_ascii_case("upgrade"));
    let protocol = parts.headers.get(UPGRADE).filter(|_| asks && parts.version == Version::HTTP_11)?;
    let is_http2 =
        protocol.as_bytes().split(|&byte| byte == b',').any(|one| one.trim_ascii().starts_with(b"h2"));
    (!is_http2).then(|| protocol.clone())
}

/// Removes what is meant for one connection only.
pub(super) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    // With another framing the length is not what counts (RFC 9112, section 6.3).
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    let named: Vec<_> =
        named_by_connection(headers).filter_map(|name| name.parse::<HeaderName>().ok()).collect();
    // A connection cannot make the end of a message a matter of its own.
    for name in named.into_iter().filter(|name| *name != CONTENT_LENGTH && *name != HOST) {
        headers.remove(name);
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

fn named_by_connection(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

/// What a service is told of how a request came.
#[derive(Debug)]
pub(super) struct Came<'a> {
    pub(super) place: &'a Place,
    /// The `Host`, as the client wrote it.
    pub(super) host: &'a str,
    pub(super) scheme: &'static str,
    /// Who made the connection, if that is known.
    pub(super) peer: Option<SocketAddr>,
    /// What is left of the query.
    pub(super) query: Option<&'a str>,
    pub(super) upgrade: Option<&'a HeaderValue>,
}

impl Came<'_> {
    /// Makes a head what a service gets. Cookies and `Authorization` are somebody else's business.
    pub(super) fn forward(&self, parts: &mut Parts) -> Result<(), Refusal> {
        parts.uri = self.target()?;
        parts.version = Version::HTTP_11;
        let headers = &mut parts.headers;
        remove_hop_by_hop(headers);
        // The server has said already that it continues; `Forwarded` is what others say instead of the headers below.
        for name in [EXPECT, FORWARDED, TRAFFIC_TOKEN, PROXY_TOKEN] {
            headers.remove(name);
        }
        if let Some(referer) = headers.remove(REFERER)
            && let Ok(text) = referer.to_str()
            && let Ok(referer) = HeaderValue::try_from(query::without_tokens(text))
        {
            headers.insert(REFERER, referer);
        }
        let host = HeaderValue::try_from(self.host).map_err(|_| Refusal::Malformed)?;
        headers.insert(HOST, host.clone());
        headers.insert(FORWARDED_HOST, host);
        headers.insert(FORWARDED_PROTO, HeaderValue::from_static(self.scheme));
        headers.remove(FORWARDED_PREFIX);
        if let Some(root) = HeaderValue::try_from(&self.place.root).ok().filter(|root| !root.is_empty()) {
            headers.insert(FORWARDED_PREFIX, root);
        }
        if let Some(peer) = self.peer {
            let before = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
            let all: Vec<_> =
                before.map(str::to_owned).chain([peer.ip().to_canonical().to_string()]).collect();
            headers.remove(FORWARDED_FOR);
            if let Ok(all) = HeaderValue::try_from(all.join(", ")) {
                headers.insert(FORWARDED_FOR, all);
            }
        }
        if let Some(protocol) = self.upgrade {
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(UPGRADE, protocol.clone());
        }
        Ok(())
    }

    fn target(&self) -> Result<Uri, Refusal> {
        let path = &self.place.path;
        let target = match self.query {
            Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
            None => PathAndQuery::try_from(path.as_str()),
        };
        Ok(Uri::from(target.map_err(|_| Refusal::Malformed)?))
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::edge::address::Label;

    fn parts(headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().uri("/edge/80-s-a/x");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn place() -> Place {
        Place {
            label: Label::parse("80-s-a").unwrap(),
            root: "/edge/80-s-a".to_owned(),
            path: "/x".to_owned(),
        }
    }

    fn forwarded(headers: &[(&str, &str)]) -> Parts {
        let mut parts = parts(headers);
        let peer = Some("[::ffff:10.0.0.1]:99".parse().unwrap());
        let place = place();
        let came = Came {
            place: &place,
            host: "h.example:1",
            scheme: "https",
            peer,
            query: Some("q"),
            upgrade: None,
        };
        came.forward(&mut parts).unwrap();
        parts
    }

    #[test]
    fn a_service_is_told_how_a_request_came() {
        let parts = forwarded(&[("x-forwarded-host", "spoofed"), ("x-forwarded-proto", "gopher")]);
        assert_eq!(parts.uri, "/x?q");
        let expected = [
            ("host", "h.example:1"),
            ("x-forwarded-host", "h.example:1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-prefix", "/edge/80-s-a"),
        ];
        for (name, value) in expected {
            assert_eq!(parts.headers[name], value, "{name}");
            assert_eq!(parts.headers.get_all(name).iter().count(), 1, "{name}");
        }
        assert_eq!(parts.headers.len(), expected.len());
        let parts = forwarded(&[("x-forwarded-for", "1.2.3.4"), ("x-forwarded-for", "5.6.7.8")]);
        assert_eq!(parts.headers["x-forwarded-for"], "1.2.3.4, 5.6.7.8, 10.0.0.1");
    }

    #[test]
    fn what_is_for_one_connection_or_a_credential_of_ours_does_not_pass() {
        let dropped = [
            ("connection", "close, X-Hop ,content-length,host"),
            ("x-hop", "1"),
            ("keep-alive", "1"),
            ("proxy-connection", "1"),
            ("proxy-authorization", "1"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("expect", "100-continue"),
            ("forwarded", "for=1"),
            ("x-nullspace-traffic-access-token", "1"),
            ("x-nullspace-preview-proxy-token", "1"),
            ("content-length", "5"),
        ];
        let parts = forwarded(&[&dropped[..], &[("x-kept", "1")]].concat());
        for (name, _) in dropped {
            assert!(!parts.headers.contains_key(name), "{name}");
        }
        assert_eq!(parts.headers["x-kept"], "1");
        let parts = forwarded(&[("content-length", "5"), ("connection", "content-length")]);
        assert_eq!(parts.headers["content-length"], "5");
    }

    #[test]
    fn a_referer_passes_without_its_token() {
        let parts = forwarded(&[("referer", "http://h/x?a=1&edge_token=t")]);
        assert_eq!(parts.headers["referer"], "http://h/x?a=1");
    }

    #[test]
    fn an_upgrade_is_asked_for_in_one_way() {
        let asked = |headers: &[(&str, &str)]| upgrade(&parts(headers)).is_some();
        assert!(asked(&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")]));
        assert!(!asked(&[("upgrade", "websocket")]));
        assert!(!asked(&[("connection", "upgrade")]));
        assert!(!asked(&[("connection", "upgrade"), ("upgrade", "h2c")]));
        assert!(!asked(&[("connection", "upgrade"), ("upgrade", "websocket, h2c")]));
    }

    #[test]
    fn limits_hold_at_the_limit_and_one_past_it() {
        let limits = Limits { target: 20, request_head: 10, ..Limits::default() };
        let checked = |uri: &str, value: &str| {
            let request = Request::builder().uri(uri).header("abcde", value).body(()).unwrap();
            check(&request.into_parts().0, &limits)
        };
        assert_eq!(checked("/345678901234567890?", "12345"), Ok(()));
        assert_eq!(checked("/345678901234567890?x", "12345"), Err(Refusal::TargetTooLong));
        assert_eq!(checked("/", "123456"), Err(Refusal::HeadTooLarge));
        let connect = Request::builder().method("CONNECT").uri("a:1").body(()).unwrap();
        assert_eq!(check(&connect.into_parts().0, &limits), Err(Refusal::MethodNotAllowed));
    }
}
