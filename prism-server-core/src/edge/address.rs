//! Public URLs: where a service is reached from outside.
//!
//! | what the operator has configured | a public URL |
//! |---|---|
//! | nothing | `http://<Host of the request>/edge/8000-s-<id>/?edge_token=...` |
//! | a public URL | `<public URL>/edge/8000-s-<id>/?edge_token=...` |
//! | a domain of the edge | `https://8000-s-<id>.<domain>/?edge_token=...`, with the scheme of the public URL |
//!
//! # Origins
//! With a domain of the edge each service has an origin of its own, as browsers see it, and absolute links of an app work.
//! It takes a DNS record and, with TLS, a certificate for `*.<domain>`. The domain should be of no use for anything else,
//! above all no parent of where people log in, because scripts of an app can set cookies for the domains above it.
//!
//! Without one the path form works everywhere, also where no name can be resolved. But then all services, and the API,
//! are one origin: the script of a page of one service can ask another one for what the same browser may see there. So it
//! is for development, for clients that are no browsers, and for operators who trust what they host. Where a domain is
//! configured there is no path form.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use prism_types::{InstanceId, Secret, Timestamp};

use super::{
    query,
    token::{Keys, Service},
};
use crate::{
    core::Settings,
    ports::{Clock, SecretBox, SecretBoxError},
};

/// What the path form begins with.
pub(super) const PATH: &str = "/edge/";
/// Longest label of a name (RFC 1035, section 2.3.4).
const LONGEST_LABEL: usize = 63;
/// Longest domain of the edge, so that a label before it makes no name that is too long.
const LONGEST_DOMAIN: usize = 253 - LONGEST_LABEL - 1;

/// A public URL. Its URLs are secrets: never keep or log them.
pub(crate) struct PublicUrl {
    pub(crate) url: Secret,
    /// The same for WebSockets.
    pub(crate) websocket: Secret,
    /// It without a scheme and a token.
    pub(crate) place: String,
    /// Until when it is good.
    pub(crate) expires_at: Timestamp,
}

/// Makes public URLs.
pub(crate) struct Urls {
    pub(super) keys: Keys,
    pub(super) clock: Arc<dyn Clock>,
    base: Option<String>,
    domain: Option<EdgeDomain>,
    life: Duration,
}

impl Urls {
    /// URLs as the operator wants them.
    ///
    /// # Errors
    /// When the box derives no keys.
    pub(crate) fn new(
        secret_box: &dyn SecretBox,
        clock: Arc<dyn Clock>,
        settings: &Settings,
    ) -> Result<Self, SecretBoxError> {
        Ok(Self {
            keys: Keys::new(secret_box)?,
            clock,
            base: settings.public_url.as_deref().map(|url| url.trim_end_matches('/').to_owned()),
            domain: settings.edge_domain.clone(),
            life: settings.edge_token_life,
        })
    }

    /// Where a service is reached, as [`Urls::url_for`] tells.
    pub(crate) fn public_url(&self, service: &Service, host: Option<&str>) -> Option<Secret> {
        self.url_for(service, host, None).map(|made| made.url)
    }

    /// Where a service is reached from now until the token expires, for somebody who reached us under this `Host`. It is a
    /// secret: never keep or log it. `life`: how long, if not as the operator has configured. `None`: its id has no place
    /// in a name, which ids of ours always have.
    pub(crate) fn url_for(
        &self,
        service: &Service,
        host: Option<&str>,
        life: Option<Duration>,
    ) -> Option<PublicUrl> {
        let label = Label { port: service.port, instance: service.instance.clone() };
        let root = match &self.domain {
            Some(domain) => format!("{}://{}.{domain}", self.scheme(), label.in_name()?),
            None => {
                let base = self.base.clone();
                let base = base.unwrap_or_else(|| format!("http://{}", host.unwrap_or("localhost")));
                format!("{base}{PATH}{label}")
            }
        };
        let life = i64::try_from(life.unwrap_or(self.life).as_millis()).unwrap_or(i64::MAX);
        let expires_at = Timestamp::from_millis(self.clock.now().as_millis().saturating_add(life));
        let token = self.keys.token(service, expires_at);
        let url = |root: &str| Secret::new(format!("{root}/?{}={}", query::PARAMETER, token.expose()));
        // `http` becomes `ws`, and `https` becomes `wss`.
        let websocket = url(&root.replacen("http", "ws", 1));
        let (_, place) = root.split_once("://").unwrap_or_default();
        Some(PublicUrl { url: url(&root), websocket, place: place.to_owned(), expires_at })
    }

    /// The value of `x-nullspace-traffic-access-token` for a service without public traffic.
    pub(crate) fn traffic_token(&self, service: &Service) -> Secret {
        self.keys.traffic_token(service)
    }

    pub(super) fn domain(&self) -> Option<&EdgeDomain> {
        self.domain.as_ref()
    }

    /// The scheme that the operator has configured, or else `http`.
    pub(super) fn scheme(&self) -> &'static str {
        let is_tls = self.base.as_deref().is_some_and(|base| base.starts_with("https://"));
        if is_tls { "https" } else { "http" }
    }

    /// Whether the operator has said how the server is reached.
    pub(super) fn is_configured(&self) -> bool {
        self.base.is_some()
    }

    /// What is before `/edge/` in paths as clients see them, if the operator has said so.
    pub(super) fn base_path(&self) -> Option<&str> {
        let (_, rest) = self.base.as_deref()?.split_once("://")?;
        Some(rest.find('/').map_or("", |at| &rest[at..]))
    }
}

impl fmt::Debug for Urls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Urls").field("base", &self.base).field("domain", &self.domain).finish_non_exhaustive()
    }
}

/// What names a port of an instance: `8000-s-<suffix of its id>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Label {
    pub(super) port: u16,
    pub(super) instance: InstanceId,
}

impl Label {
    const MIDDLE: &str = "-s-";

    /// Reads a label as it is written, and in no other way.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (port, suffix) = text.split_once(Self::MIDDLE)?;
        let label = Self { port: port.parse().ok()?, instance: InstanceId::from_suffix(suffix).ok()? };
        (label.port != 0 && label.to_string() == text).then_some(label)
    }

    /// As a label of a name, where upper case and lower case are the same.
    fn in_name(&self) -> Option<String> {
        let label = self.to_string();
        is_name_label(&label).then_some(label)
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.port, Self::MIDDLE, self.instance.suffix())
    }
}

/// A domain whose names are the services that are hosted, such as `edge.example.com`, or `localhost:8080` where the names
/// below `localhost` are resolved.
///
/// ```
/// use prism_server_core::EdgeDomain;
///
/// let domain: EdgeDomain = "edge.example.com:8443".parse()?;
/// assert_eq!((domain.host(), domain.to_string().as_str()), ("edge.example.com", "edge.example.com:8443"));
/// assert!("https://edge.example.com".parse::<EdgeDomain>().is_err());
/// # Ok::<_, prism_server_core::InvalidEdgeDomain>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeDomain {
    host: String,
    port: Option<u16>,
}

impl EdgeDomain {
    /// The name, in lower case, without the port.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// What comes before the domain in a `Host`, in lower case: the name of a service, if it is one. The port does not
    /// matter, for a proxy in front may have another one.
    pub(super) fn name_below(&self, host: &str) -> Option<String> {
        let (name, port) = host.split_once(':').unwrap_or((host, ""));
        if !port.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        Some(name.strip_suffix(&self.host)?.strip_suffix('.')?.to_owned())
    }
}

impl FromStr for EdgeDomain {
    type Err = InvalidEdgeDomain;

    fn from_str(text: &str) -> Result<Self, InvalidEdgeDomain> {
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => {
                let is_number = !port.is_empty() && port.bytes().all(|digit| digit.is_ascii_digit());
                let port = port.parse().ok().filter(|port| is_number && *port != 0);
                (host, Some(port.ok_or(InvalidEdgeDomain)?))
            }
            None => (text, None),
        };
        let host = host.to_ascii_lowercase();
        let is_address =
            host.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
        let is_name = host.len() <= LONGEST_DOMAIN && host.split('.').all(is_name_label) && !is_address;
        if is_name { Ok(Self { host, port }) } else { Err(InvalidEdgeDomain) }
    }
}

impl fmt::Display for EdgeDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// A text is no [`EdgeDomain`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a domain of the edge is a name of at most 189 characters, such as `edge.example.com`, with `:port` where it is not \
     the usual one"
)]
#[non_exhaustive]
pub struct InvalidEdgeDomain;

fn is_name_label(label: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=LONGEST_LABEL).contains(&label.len())
        && label.bytes().all(fits)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        adapters::secret_box::{MasterKey, SealedBox},
        ids::NewId as _,
        ports::SystemClock,
    };

    fn service(instance: InstanceId) -> Service {
        Service {
            tenant: "ten_1".parse().unwrap(),
            deployment: "dep_1".parse().unwrap(),
            instance,
            port: 8000,
            epoch: 1,
        }
    }

    fn urls(public_url: Option<&str>, domain: Option<&str>) -> Urls {
        let settings = Settings {
            public_url: public_url.map(str::to_owned),
            edge_domain: domain.map(|domain| domain.parse().unwrap()),
            ..Settings::default()
        };
        let secret_box = SealedBox::new(MasterKey::from_bytes([1; 32]));
        Urls::new(&secret_box, Arc::new(SystemClock), &settings).unwrap()
    }

    #[test]
    fn a_public_url_has_the_form_that_is_configured() {
        let url = |public_url, domain, host| {
            let service = service("ins_abc".parse().unwrap());
            let url = urls(public_url, domain).public_url(&service, host).unwrap();
            assert!(!format!("{url:?}").contains("8000"));
            let (root, token) = url.expose().split_once("?edge_token=").unwrap();
            assert_eq!(token.len(), 112);
            root.to_owned()
        };
        assert_eq!(url(None, None, None), "http://localhost/edge/8000-s-abc/");
        assert_eq!(url(None, None, Some("127.0.0.1:80")), "http://127.0.0.1:80/edge/8000-s-abc/");
        let configured = Some("https://a.example/agents/");
        assert_eq!(url(configured, None, Some("x")), "https://a.example/agents/edge/8000-s-abc/");
        assert_eq!(url(configured, Some("edge.example"), None), "https://8000-s-abc.edge.example/");
        assert_eq!(url(None, Some("localhost:8080"), None), "http://8000-s-abc.localhost:8080/");
    }

    #[test]
    fn an_id_that_is_no_name_has_no_url_below_a_domain() {
        let long = "a".repeat(56);
        for (suffix, fits) in
            [(&long[..], true), (&format!("{long}a"), false), ("A", false), ("a_b", false), ("a-", false)]
        {
            let service = service(InstanceId::from_suffix(suffix).unwrap());
            let url = urls(None, Some("edge.example")).public_url(&service, None);
            assert_eq!(url.is_some(), fits, "{suffix}");
            assert!(urls(None, None).public_url(&service, None).is_some(), "{suffix}");
        }
    }

    #[test]
    fn ids_of_ours_fit_into_a_name() {
        for _ in 0..100 {
            let label = Label { port: 65_535, instance: InstanceId::generate() };
            assert_eq!(Label::parse(&label.in_name().unwrap()), Some(label));
        }
    }

    #[test]
    fn a_label_is_read_in_one_form_only() {
        for wrong in [
            "",
            "8000",
            "8000-s-",
            "-s-a",
            "0-s-a",
            "65536-s-a",
            "08-s-a",
            "+8-s-a",
            "8000-S-a",
            "8-s-a.b",
            "8-s-é",
        ] {
            assert_eq!(Label::parse(wrong), None, "{wrong}");
        }
        assert_eq!(Label::parse("8-s-a-s-b").unwrap().instance.suffix(), "a-s-b");
    }

    #[test]
    fn a_domain_is_a_name() {
        let longest = format!("{}.{}.{}", "a".repeat(63), "b".repeat(63), "c".repeat(61));
        for good in ["localhost", "edge.example.com", "a1-b.c:1", "x.example:65535", &longest] {
            assert_eq!(good.parse::<EdgeDomain>().unwrap().to_string(), good);
        }
        assert_eq!("Edge.Example".parse::<EdgeDomain>().unwrap().to_string(), "edge.example");
        let wrong = [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "-a",
            "a-",
            "a_b",
            "a b",
            "https://a",
            "a/b",
            "a:0",
            "a:",
            "a:+1",
            "a:65536",
            "127.0.0.1",
            "[::1]",
            "*.a",
            &format!("{longest}c"),
            &"a".repeat(64),
        ];
        for wrong in wrong {
            assert_eq!(wrong.parse::<EdgeDomain>(), Err(InvalidEdgeDomain), "{wrong}");
        }
    }

    #[test]
    fn names_below_a_domain_are_found_whatever_their_case_and_port() {
        let domain: EdgeDomain = "edge.example:8443".parse().unwrap();
        let below = |host: &str| domain.name_below(host);
        assert_eq!(below("8000-S-ABC.Edge.Example").unwrap(), "8000-s-abc");
        assert_eq!(below("a.edge.example.:1").unwrap(), "a");
        assert_eq!(below("a.b.edge.example").unwrap(), "a.b");
        for other in
            ["edge.example", "xedge.example", "a.edge.example.com", "a.edge.example:x", "", "edge.example.a"]
        {
            assert_eq!(below(other), None, "{other}");
        }
    }

    #[test]
    fn the_path_before_the_edge_is_that_of_the_public_url() {
        assert_eq!(urls(None, None).base_path(), None);
        assert_eq!(urls(Some("https://a.example"), None).base_path(), Some(""));
        assert_eq!(urls(Some("https://a.example/x/y/"), None).base_path(), Some("/x/y"));
    }

    proptest! {
        #[test]
        fn a_label_reads_as_it_is_written(port in 1_u16.., suffix in "[A-Za-z0-9_-]{1,100}") {
            let label = Label { port, instance: InstanceId::from_suffix(&suffix).unwrap() };
            prop_assert_eq!(Label::parse(&label.to_string()), Some(label));
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in "\\PC*") {
            let _ = Label::parse(&text);
            let _ = text.parse::<EdgeDomain>();
            let _ = "a.b".parse::<EdgeDomain>().unwrap().name_below(&text);
        }
    }
}
