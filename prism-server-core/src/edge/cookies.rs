//! Cookies: the edge's own, and those of apps, which must not meet those of other apps.

use http::{
    HeaderMap, HeaderValue,
    header::{COOKIE, SET_COOKIE},
};
use prism_types::Timestamp;

use super::{place::Place, token::EdgeToken};

/// The name of the continuation cookie.
const NAME: &str = "edge_session";
/// Its name where no other host can set it: over TLS, at an origin of its own (RFC 6265bis, section 4.1.3.2).
const HOST_NAME: &str = "__Host-edge_session";

/// The cookies of an edge at a place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cookies<'a> {
    pub(super) place: &'a Place,
    pub(super) is_tls: bool,
}

impl Cookies<'_> {
    fn name(self) -> &'static str {
        if self.is_tls && self.place.has_own_origin() { HOST_NAME } else { NAME }
    }

    /// Takes the continuation cookies out of a request; the others stay, in one header.
    pub(super) fn take(self, headers: &mut HeaderMap) -> Vec<String> {
        let (mut ours, mut others) = (Vec::new(), Vec::<&[u8]>::new());
        for header in headers.get_all(COOKIE) {
            for cookie in header.as_bytes().split(|&byte| byte == b';').map(<[u8]>::trim_ascii) {
                let (name, value) = split(cookie);
                if is_ours(name) {
                    // What is under the other name of ours has no meaning here, and is no business of the app's.
                    if name == self.name().as_bytes() {
                        ours.push(String::from_utf8_lossy(value).into_owned());
                    }
                } else if !cookie.is_empty() {
                    others.push(cookie);
                }
            }
        }
        let others = others.join(&b"; "[..]);
        headers.remove(COOKIE);
        if let Some(others) = HeaderValue::from_bytes(&others).ok().filter(|others| !others.is_empty()) {
            headers.insert(COOKIE, others);
        }
        ours
    }

    /// The continuation cookie, to be set.
    pub(super) fn set(
        self,
        cookie: &EdgeToken,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Option<HeaderValue> {
        let (name, value, root) = (self.name(), cookie.expose(), &self.place.root);
        let seconds = expires_at.as_millis().saturating_sub(now.as_millis()) / 1000;
        let secure = if self.is_tls { "; Secure" } else { "" };
        // A path that could be taken for more than a path gets no cookie.
        let is_path = !root.bytes().any(|byte| byte == b';' || byte == b',');
        let text = format!("{name}={value}; Path={root}/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
        let mut header = HeaderValue::try_from(text).ok().filter(|_| is_path)?;
        header.set_sensitive(true);
        Some(header)
    }

    /// Keeps the cookies that an app sets to the app: without a domain, below its root, and not under our name.
    pub(super) fn confine(self, headers: &mut HeaderMap) {
        if !headers.contains_key(SET_COOKIE) {
            return;
        }
        let set: Vec<_> = headers.get_all(SET_COOKIE).iter().filter_map(|set| self.confined(set)).collect();
        headers.remove(SET_COOKIE);
        for header in set {
            headers.append(SET_COOKIE, header);
        }
    }

    fn confined(self, set: &HeaderValue) -> Option<HeaderValue> {
        let mut pieces = set.as_bytes().split(|&byte| byte == b';');
        let cookie = pieces.next()?.trim_ascii();
        if is_ours(split(cookie).0) {
            return None;
        }
        let mut confined = cookie.to_vec();
        for attribute in pieces {
            let (name, value) = split(attribute);
            if name.eq_ignore_ascii_case(b"domain") {
                continue;
            }
            confined.extend_from_slice(b"; ");
            if name.eq_ignore_ascii_case(b"path") {
                confined.extend_from_slice(b"Path=");
                confined.extend_from_slice(&self.path(value));
            } else {
                confined.extend_from_slice(attribute.trim_ascii());
            }
        }
        HeaderValue::from_bytes(&confined).ok()
    }

    /// A path of the app's as clients see it.
    fn path(self, path: &[u8]) -> Vec<u8> {
        let root = self.place.root.as_bytes();
        let is_below = path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"));
        match path {
            _ if is_below && !root.is_empty() => path.to_vec(),
            [b'/', ..] => [root, path].concat(),
            // No path: a browser would take that of the request's.
            _ => [root, b"/"].concat(),
        }
    }
}

fn is_ours(name: &[u8]) -> bool {
    name == NAME.as_bytes() || name == HOST_NAME.as_bytes()
}

/// Name and value, without the white space around them.
fn split(pair: &[u8]) -> (&[u8], &[u8]) {
    let (name, value) = match pair.iter().position(|&byte| byte == b'=') {
        Some(at) => (&pair[..at], &pair[at + 1..]),
        None => (pair, &[][..]),
    };
    (name.trim_ascii(), value.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::address::Label;

    fn place(root: &str) -> Place {
        Place { label: Label::parse("80-s-a").unwrap(), root: root.to_owned(), path: "/".to_owned() }
    }

    fn taken(is_tls: bool, root: &str, cookies: &[&'static str]) -> (Vec<String>, Option<String>) {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(COOKIE, HeaderValue::from_static(cookie));
        }
        let taken = Cookies { place: &place(root), is_tls }.take(&mut headers);
        assert!(headers.get_all(COOKIE).iter().count() <= 1);
        (taken, headers.get(COOKIE).map(|left| left.to_str().unwrap().to_owned()))
    }

    #[test]
    fn cookies_of_ours_are_taken_and_others_pass() {
        let left = |text: &str| Some(text.to_owned());
        assert_eq!(
            taken(false, "/edge/x", &["a=1; edge_session=t; b"]),
            (vec!["t".to_owned()], left("a=1; b"))
        );
        assert_eq!(taken(false, "/edge/x", &["edge_session=t"]), (vec!["t".to_owned()], None));
        assert_eq!(
            taken(false, "", &["a=1", "b=2;; edge_session = u "]),
            (vec!["u".to_owned()], left("a=1; b=2"))
        );
        let both = "edge_session=t; __Host-edge_session=u; xedge_session=v";
        assert_eq!(taken(true, "", &[both]), (vec!["u".to_owned()], left("xedge_session=v")));
        assert_eq!(taken(true, "/edge/x", &[both]), (vec!["t".to_owned()], left("xedge_session=v")));
        assert_eq!(taken(false, "", &[]), (vec![], None));
    }

    fn confined(root: &str, set: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.append(SET_COOKIE, HeaderValue::try_from(set).unwrap());
        Cookies { place: &place(root), is_tls: false }.confine(&mut headers);
        headers.get(SET_COOKIE).map(|set| set.to_str().unwrap().to_owned())
    }

    #[test]
    fn cookies_of_an_app_stay_with_it() {
        let own = |set| confined("", set).unwrap();
        assert_eq!(own("a=1; Path=/; HttpOnly"), "a=1; Path=/; HttpOnly");
        assert_eq!(own("a=1;Domain=edge.example;domain=x ; Secure"), "a=1; Secure");
        let shared = |set| confined("/edge/80-s-a", set).unwrap();
        assert_eq!(shared("a=1; path=/"), "a=1; Path=/edge/80-s-a/");
        assert_eq!(shared("a=1; Path=/x; Max-Age=5"), "a=1; Path=/edge/80-s-a/x; Max-Age=5");
        assert_eq!(shared("a=1; Path=/edge/80-s-a/x"), "a=1; Path=/edge/80-s-a/x");
        assert_eq!(shared("a=1; Path=/edge/80-s-ab"), "a=1; Path=/edge/80-s-a/edge/80-s-ab");
        assert_eq!(shared("a=1; Path"), "a=1; Path=/edge/80-s-a/");
        assert_eq!(shared("a=1"), "a=1");
        for ours in ["edge_session=x", " __Host-edge_session =x; Path=/"] {
            assert_eq!(confined("", ours), None, "{ours}");
        }
    }
}
