//! Signed, short-lived credentials of the edge.
//!
//! | credential | where it is | what it is good for |
//! |---|---|---|
//! | edge token | the query of a public URL | one service, one epoch of it, until it expires |
//! | continuation cookie | `Cookie`, set on the answer to an edge token | the same, until the same instant; no upgrades |
//! | traffic access token | a header, for services without public traffic | one service, besides one of the others |
//!
//! None is kept anywhere: they are made when somebody asks and checked by their signature, an HMAC with SHA-256 under a
//! key that is derived from the master key. So they outlast a restart and are good on every node. With another master key
//! all are void: whoever holds an edge token reads the public URL again.
//!
//! Tokens and cookies are 84 bytes in URL-safe base64 without padding, 112 characters of which each has one form only:
//!
//! | bytes | what |
//! |---|---|
//! | 1 | version, 1 |
//! | 1 | 1 for an edge token, 2 for a continuation cookie |
//! | 2 | port |
//! | 8 | epoch |
//! | 8 | the end of its life, in milliseconds since 1970 |
//! | 16 | instance: the start of the SHA-256 of its id |
//! | 16 | owner: the start of the SHA-256 of the ids of tenant and deployment |
//! | 32 | signature of all before |

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use prism_types::{DeploymentId, InstanceId, Secret, TenantId, Timestamp};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::refusal::Refusal;
use crate::ports::{SecretBox, SecretBoxError};

const VERSION: u8 = 1;
const CLAIMS_LENGTH: usize = 52;
const SIGNATURE_LENGTH: usize = 32;
const LENGTH: usize = CLAIMS_LENGTH + SIGNATURE_LENGTH;
/// Length of a block of SHA-256, in bytes.
const BLOCK_LENGTH: usize = 64;
/// What the key of the edge is derived for.
const PURPOSE: &[u8] = b"edge credentials v1";
/// Sets what is signed apart by what it is.
const CLAIMS: &[u8] = b"prism edge claims v1\0";
const TRAFFIC: &[u8] = b"prism edge traffic access v1\0";

/// A port of a hosted service, as it is at present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Service {
    /// Whose it is.
    pub(crate) tenant: TenantId,
    /// What it is an instance of.
    pub(crate) deployment: DeploymentId,
    /// The instance, which is its sandbox.
    pub(crate) instance: InstanceId,
    /// Where it listens.
    pub(crate) port: u16,
    /// Another one after each start, never one that was before: it voids all earlier tokens.
    pub(crate) epoch: u64,
}

/// Makes and checks credentials.
pub(crate) struct Keys(Zeroizing<[u8; BLOCK_LENGTH]>);

impl Keys {
    /// The keys of whoever has this box's master key.
    ///
    /// # Errors
    /// When the box derives no keys.
    pub(crate) fn new(secret_box: &dyn SecretBox) -> Result<Self, SecretBoxError> {
        let derived = Zeroizing::new(secret_box.derive(PURPOSE)?);
        // HMAC fills a key up with zeros, to the length of a block.
        let mut block = Zeroizing::new([0; BLOCK_LENGTH]);
        block[..derived.len()].copy_from_slice(&*derived);
        Ok(Self(block))
    }

    /// A token for a service, good until then.
    pub(crate) fn token(&self, service: &Service, expires_at: Timestamp) -> EdgeToken {
        EdgeToken(self.sign(Kind::Token, &Claims::of(service, expires_at)))
    }

    /// The cookie that goes on for a token, as long as that.
    pub(super) fn cookie(&self, claims: &Claims) -> EdgeToken {
        EdgeToken(self.sign(Kind::Cookie, claims))
    }

    /// What a credential says.
    ///
    /// # Errors
    /// [`Refusal::TokenInvalid`] when it was not made with this key, or for something else, and
    /// [`Refusal::TokenExpired`] when its life is over.
    pub(super) fn read(&self, kind: Kind, text: &str, now: Timestamp) -> Result<Claims, Refusal> {
        // What is too long is not even decoded.
        let mut bytes = [0; LENGTH];
        let is_whole = text.len() == LENGTH / 3 * 4
            && URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).is_ok_and(|length| length == LENGTH);
        let (signed, signature) = bytes.split_at(CLAIMS_LENGTH);
        let mac = self.mac(CLAIMS).chain_update(signed);
        // Compares in constant time.
        if !is_whole || mac.verify_slice(signature).is_err() {
            return Err(Refusal::TokenInvalid);
        }
        let claims = Claims::decode(kind, signed).ok_or(Refusal::TokenInvalid)?;
        if now >= claims.expires_at {
            return Err(Refusal::TokenExpired);
        }
        Ok(claims)
    }

    /// What the header `x-nullspace-traffic-access-token` has to be for a service without public traffic: the same for as
    /// long as the instance is there.
    pub(crate) fn traffic_token(&self, service: &Service) -> Secret {
        Secret::new(URL_SAFE_NO_PAD.encode(self.traffic_mac(service).finalize().into_bytes()))
    }

    /// Whether a text is the traffic access token of a service; takes as long whatever it is.
    pub(super) fn is_traffic_token(&self, service: &Service, text: &[u8]) -> bool {
        let mut bytes = [0; SIGNATURE_LENGTH];
        let is_whole =
            URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).is_ok_and(|length| length == SIGNATURE_LENGTH);
        let is_right = self.traffic_mac(service).verify_slice(&bytes).is_ok();
        is_whole && is_right
    }

    fn traffic_mac(&self, service: &Service) -> Hmac<Sha256> {
        self.mac(TRAFFIC)
            .chain_update(owner_digest(&service.tenant, &service.deployment))
            .chain_update(instance_digest(&service.instance))
    }

    fn sign(&self, kind: Kind, claims: &Claims) -> Secret {
        let mut bytes = claims.encode(kind);
        let signature = self.mac(CLAIMS).chain_update(&bytes).finalize().into_bytes();
        bytes.extend_from_slice(&signature);
        Secret::new(URL_SAFE_NO_PAD.encode(bytes))
    }

    fn mac(&self, prefix: &[u8]) -> Hmac<Sha256> {
        Hmac::<Sha256>::new((&*self.0).into()).chain_update(prefix)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys([redacted])")
    }
}

/// An edge token, or a continuation cookie. It must not be kept or logged; `Debug` does not show it.
#[derive(Debug, Clone)]
pub(crate) struct EdgeToken(Secret);

impl EdgeToken {
    /// The token itself. Every call is a place to look at in a review.
    pub(crate) fn expose(&self) -> &str {
        self.0.expose()
    }
}

/// The family of a credential. One is never taken for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Token = 1,
    Cookie = 2,
}

/// What a credential is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Claims {
    port: u16,
    epoch: u64,
    /// The first instant at which it is no longer good.
    pub(super) expires_at: Timestamp,
    instance: [u8; 16],
    owner: [u8; 16],
}

impl Claims {
    fn of(service: &Service, expires_at: Timestamp) -> Self {
        Self {
            port: service.port,
            epoch: service.epoch,
            expires_at,
            instance: instance_digest(&service.instance),
            owner: owner_digest(&service.tenant, &service.deployment),
        }
    }

    /// Whether it is for this port of this instance, as far as that is known without asking anybody.
    ///
    /// # Errors
    /// [`Refusal::ScopeMismatch`].
    pub(super) fn names(&self, instance: &InstanceId, port: u16) -> Result<(), Refusal> {
        let is_same = self.port == port && self.instance == instance_digest(instance);
        if is_same { Ok(()) } else { Err(Refusal::ScopeMismatch) }
    }

    /// Whether it is for a service as it is at present.
    ///
    /// # Errors
    /// [`Refusal::ScopeMismatch`], or [`Refusal::Revoked`] when it is for another epoch of it.
    pub(super) fn fits(&self, service: &Service) -> Result<(), Refusal> {
        self.names(&service.instance, service.port)?;
        if self.owner != owner_digest(&service.tenant, &service.deployment) {
            return Err(Refusal::ScopeMismatch);
        }
        if self.epoch == service.epoch { Ok(()) } else { Err(Refusal::Revoked) }
    }

    fn encode(&self, kind: Kind) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(LENGTH);
        bytes.extend_from_slice(&[VERSION, kind as u8]);
        bytes.extend_from_slice(&self.port.to_be_bytes());
        bytes.extend_from_slice(&self.epoch.to_be_bytes());
        bytes.extend_from_slice(&self.expires_at.as_millis().to_be_bytes());
        bytes.extend_from_slice(&self.instance);
        bytes.extend_from_slice(&self.owner);
        bytes
    }

    fn decode(kind: Kind, bytes: &[u8]) -> Option<Self> {
        let (head, bytes) = bytes.split_first_chunk::<2>()?;
        let (port, bytes) = bytes.split_first_chunk()?;
        let (epoch, bytes) = bytes.split_first_chunk()?;
        let (expires_at, bytes) = bytes.split_first_chunk()?;
        let (instance, bytes) = bytes.split_first_chunk()?;
        let owner = bytes.try_into().ok()?;
        (*head == [VERSION, kind as u8]).then_some(Self {
            port: u16::from_be_bytes(*port),
            epoch: u64::from_be_bytes(*epoch),
            expires_at: Timestamp::from_millis(i64::from_be_bytes(*expires_at)),
            instance: *instance,
            owner,
        })
    }
}

fn instance_digest(instance: &InstanceId) -> [u8; 16] {
    start_of(Sha256::new().chain_update(instance.as_str()))
}

/// No id has a zero byte, so that no two pairs are the same.
fn owner_digest(tenant: &TenantId, deployment: &DeploymentId) -> [u8; 16] {
    start_of(Sha256::new().chain_update(tenant.as_str()).chain_update([0]).chain_update(deployment.as_str()))
}

fn start_of(digest: Sha256) -> [u8; 16] {
    let digest: [u8; 32] = digest.finalize().into();
    let mut start = [0; 16];
    start.copy_from_slice(&digest[..16]);
    start
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::adapters::secret_box::{MasterKey, SealedBox};

    fn now() -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000)
    }

    fn later() -> Timestamp {
        Timestamp::from_millis(1_800_000_900_000)
    }

    fn keys(byte: u8) -> Keys {
        Keys::new(&SealedBox::new(MasterKey::from_bytes([byte; 32]))).unwrap()
    }

    fn service() -> Service {
        Service {
            tenant: "ten_1".parse().unwrap(),
            deployment: "dep_1".parse().unwrap(),
            instance: "ins_1".parse().unwrap(),
            port: 8000,
            epoch: 3,
        }
    }

    #[test]
    fn a_token_is_good_on_every_node_until_it_expires() {
        let token = keys(1).token(&service(), later());
        assert_eq!(token.expose().len(), 112);
        let read = |at| keys(1).read(Kind::Token, token.expose(), at);
        assert_eq!(read(now()).unwrap().fits(&service()), Ok(()));
        assert!(read(Timestamp::from_millis(later().as_millis() - 1)).is_ok());
        assert_eq!(read(later()), Err(Refusal::TokenExpired));
        assert_eq!(keys(2).read(Kind::Token, token.expose(), now()), Err(Refusal::TokenInvalid));
    }

    #[test]
    fn a_token_is_for_one_service_and_epoch() {
        let claims = Claims::of(&service(), later());
        let changed = |change: fn(&mut Service)| {
            let mut other = service();
            change(&mut other);
            claims.fits(&other)
        };
        assert_eq!(changed(|_| ()), Ok(()));
        assert_eq!(changed(|other| other.port = 8001), Err(Refusal::ScopeMismatch));
        assert_eq!(changed(|other| other.instance = "ins_2".parse().unwrap()), Err(Refusal::ScopeMismatch));
        assert_eq!(changed(|other| other.tenant = "ten_2".parse().unwrap()), Err(Refusal::ScopeMismatch));
        assert_eq!(changed(|other| other.deployment = "dep_2".parse().unwrap()), Err(Refusal::ScopeMismatch));
        assert_eq!(changed(|other| other.epoch = 4), Err(Refusal::Revoked));
        assert_eq!(changed(|other| other.epoch = 2), Err(Refusal::Revoked));
    }

    #[test]
    fn a_cookie_is_no_token_and_a_token_no_cookie() {
        let (keys, claims) = (keys(1), Claims::of(&service(), later()));
        let (token, cookie) = (keys.token(&service(), later()), keys.cookie(&claims));
        assert_eq!(keys.read(Kind::Cookie, cookie.expose(), now()), Ok(claims));
        assert_eq!(keys.read(Kind::Token, cookie.expose(), now()), Err(Refusal::TokenInvalid));
        assert_eq!(keys.read(Kind::Cookie, token.expose(), now()), Err(Refusal::TokenInvalid));
    }

    #[test]
    fn another_version_is_refused_though_it_is_signed() {
        let keys = keys(1);
        let mut bytes = Claims::of(&service(), later()).encode(Kind::Token);
        bytes[0] = 2;
        let signature = keys.mac(CLAIMS).chain_update(&bytes).finalize().into_bytes();
        bytes.extend_from_slice(&signature);
        let text = URL_SAFE_NO_PAD.encode(bytes);
        assert_eq!(keys.read(Kind::Token, &text, now()), Err(Refusal::TokenInvalid));
    }

    #[test]
    fn a_traffic_token_is_for_one_instance_of_one_owner() {
        let keys = keys(1);
        let token = keys.traffic_token(&service());
        let is_good = |service: &Service| keys.is_traffic_token(service, token.expose().as_bytes());
        assert!(is_good(&service()) && is_good(&Service { epoch: 9, port: 1, ..service() }));
        assert!(!is_good(&Service { instance: "ins_2".parse().unwrap(), ..service() }));
        assert!(!is_good(&Service { tenant: "ten_2".parse().unwrap(), ..service() }));
        for wrong in ["", "x", &token.expose()[1..], &format!("{}A", token.expose())] {
            assert!(!keys.is_traffic_token(&service(), wrong.as_bytes()), "{wrong}");
        }
        assert!(!keys.is_traffic_token(&service(), keys.token(&service(), later()).expose().as_bytes()));
    }

    #[test]
    fn nothing_shows_a_credential() {
        let (keys, service) = (keys(1), service());
        let token = keys.token(&service, later());
        let shown = format!("{token:?} {keys:?} {:?}", keys.traffic_token(&service));
        assert!(!shown.contains(&token.expose()[60..70]) && shown.contains("[redacted]"), "{shown}");
    }

    #[test]
    fn every_bit_counts() {
        let keys = keys(1);
        let bytes = URL_SAFE_NO_PAD.decode(keys.token(&service(), later()).expose()).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let text = URL_SAFE_NO_PAD.encode(changed);
            assert_eq!(keys.read(Kind::Token, &text, now()), Err(Refusal::TokenInvalid), "bit {bit}");
        }
    }

    proptest! {
        #[test]
        fn any_token_reads_as_it_was_made(port: u16, epoch: u64, expires_at in 1_800_000_000_001_i64..i64::MAX) {
            let service = Service { port, epoch, ..service() };
            let expires_at = Timestamp::from_millis(expires_at);
            let token = keys(1).token(&service, expires_at);
            let claims = keys(1).read(Kind::Token, token.expose(), now()).unwrap();
            prop_assert_eq!(claims, Claims::of(&service, expires_at));
        }

        #[test]
        fn any_change_of_the_text_is_refused(place: prop::sample::Index, other: char, cut in 0_usize..112) {
            let token = keys(1).token(&service(), later());
            let mut changed: Vec<char> = token.expose().chars().collect();
            let place = place.index(changed.len());
            if std::mem::replace(&mut changed[place], other) != other {
                let changed: String = changed.into_iter().collect();
                prop_assert_eq!(keys(1).read(Kind::Token, &changed, now()), Err(Refusal::TokenInvalid));
            }
            for wrong in [&token.expose()[..cut], &format!("{}{other}", token.expose())] {
                prop_assert_eq!(keys(1).read(Kind::Token, wrong, now()), Err(Refusal::TokenInvalid));
            }
        }

        #[test]
        fn any_text_is_refused_without_a_panic(text in "\\PC*", bytes: Vec<u8>) {
            prop_assert_eq!(keys(1).read(Kind::Token, &text, now()), Err(Refusal::TokenInvalid));
            prop_assert!(!keys(1).is_traffic_token(&service(), &bytes));
        }
    }
}
