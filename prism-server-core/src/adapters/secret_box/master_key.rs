//! The key that all others hang on.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use super::key_file;

/// Length of a master key, in bytes.
pub(super) const KEY_LENGTH: usize = 32;
/// Length of a master key's id, in bytes.
pub(super) const ID_LENGTH: usize = 8;
/// Length of a block of SHA-256, in bytes.
const BLOCK_LENGTH: usize = 64;
/// Sets the id apart from any other use of SHA-256 on the key.
const ID_PREFIX: &[u8] = b"prism master key id v1\0";
/// Sets derived keys apart from any other use of the key.
const DERIVED_PREFIX: &[u8] = b"prism derived key v1\0";

/// A master key: 32 bytes, overwritten when they are no longer used. `Debug` shows its id only.
#[derive(Clone)]
pub struct MasterKey {
    key: Zeroizing<[u8; KEY_LENGTH]>,
    id: [u8; ID_LENGTH],
}

impl MasterKey {
    /// A key of these bytes. They must be random: a password is not a key.
    pub fn from_bytes(mut bytes: [u8; KEY_LENGTH]) -> Self {
        let key = Zeroizing::new(bytes);
        bytes.zeroize();
        let digest: [u8; 32] = Sha256::new().chain_update(ID_PREFIX).chain_update(*key).finalize().into();
        let mut id = [0; ID_LENGTH];
        id.copy_from_slice(&digest[..ID_LENGTH]);
        Self { key, id }
    }

    /// A new random key.
    ///
    /// # Errors
    /// [`MasterKeyError::NoRandomness`].
    pub fn generate() -> Result<Self, MasterKeyError> {
        let mut bytes = Zeroizing::new([0; KEY_LENGTH]);
        getrandom::fill(&mut *bytes).map_err(|_| MasterKeyError::NoRandomness)?;
        Ok(Self::from_bytes(*bytes))
    }

    /// A key in standard base64 with padding: 44 characters.
    ///
    /// # Errors
    /// [`MasterKeyError::NotAKey`].
    pub fn from_base64(text: &str) -> Result<Self, MasterKeyError> {
        let decoded = STANDARD.decode(text).map(Zeroizing::new).map_err(|_| MasterKeyError::NotAKey)?;
        let bytes = <[u8; KEY_LENGTH]>::try_from(decoded.as_slice());
        bytes.map(Self::from_bytes).map_err(|_| MasterKeyError::NotAKey)
    }

    /// A key in the value of an environment variable: base64, with any white space around it, such as the
    /// line end that `openssl rand -base64 32` leaves.
    ///
    /// # Errors
    /// [`MasterKeyError::NotAKey`].
    pub fn from_environment_value(value: &str) -> Result<Self, MasterKeyError> {
        Self::from_base64(value.trim())
    }

    /// The key in a file; the file is made with a new key when there is none.
    ///
    /// The file holds the key in base64 and belongs to its owner alone. When several processes come at once,
    /// one makes the file and all get its key. Blocks on the disk.
    ///
    /// # Errors
    /// When the file can be read by others, holds no key, or cannot be read or made.
    pub fn load_or_create(path: impl AsRef<Path>) -> Result<Self, MasterKeyError> {
        key_file::load_or_create(path.as_ref())
    }

    /// The id: it tells keys apart and tells nothing of the key.
    pub(super) fn id(&self) -> &[u8; ID_LENGTH] {
        &self.id
    }

    pub(super) fn bytes(&self) -> &[u8; KEY_LENGTH] {
        &self.key
    }

    /// The key for a purpose.
    pub(super) fn derive(&self, purpose: &[u8]) -> [u8; KEY_LENGTH] {
        expand(&self.key, &[DERIVED_PREFIX, purpose])
    }

    pub(super) fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(*self.key))
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey(id {:016x})", u64::from_be_bytes(self.id))
    }
}

/// The first 32 bytes of HKDF-Expand with SHA-256 (RFC 5869, section 2.3). The key is random, so there is nothing to
/// extract before.
fn expand(key: &[u8; KEY_LENGTH], info: &[&[u8]]) -> [u8; KEY_LENGTH] {
    // HMAC fills a key up with zeros, to the length of a block.
    let mut block = Zeroizing::new([0; BLOCK_LENGTH]);
    block[..KEY_LENGTH].copy_from_slice(key);
    let mut mac = Hmac::<Sha256>::new((&*block).into());
    info.iter().for_each(|part| mac.update(part));
    mac.update(&[1]);
    mac.finalize().into_bytes().into()
}

/// Why there is no master key. It never says anything of the key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MasterKeyError {
    /// The text is not a key.
    #[error(
        "a master key is 32 random bytes in base64 (44 characters): make one with `openssl rand -base64 32`"
    )]
    NotAKey,
    /// The file holds something else than a key.
    #[error("{} holds no master key: it must be 32 bytes in base64 (44 characters)", .0.display())]
    NotAKeyFile(PathBuf),
    /// The file can be read or changed by others.
    #[error("the master key in {path} is open to other users: run `chmod 600 {path}`", path = .0.display())]
    OpenToOthers(PathBuf),
    /// The file cannot be read or made.
    #[error("the master key file {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: std::io::Error,
    },
    /// The system gave no randomness.
    #[error("no randomness can be had for a master key")]
    NoRandomness,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_a_key_and_nothing_else_is() {
        let key = MasterKey::from_bytes([7; 32]);
        let text = key.to_base64();
        assert_eq!(text.len(), 44);
        assert_eq!(MasterKey::from_base64(&text).unwrap().bytes(), &[7; 32]);
        assert_eq!(MasterKey::from_environment_value(&format!(" {}\n", *text)).unwrap().id(), key.id());
        let short = STANDARD.encode([7; 31]);
        let long = STANDARD.encode([7; 33]);
        let unpadded = text.trim_end_matches('=').to_owned();
        for wrong in ["", "password", &short, &long, &unpadded, &format!("{} ", *text), "é"] {
            let error = MasterKey::from_base64(wrong).unwrap_err();
            assert!(matches!(error, MasterKeyError::NotAKey), "{wrong}");
            assert!(wrong.is_empty() || !error.to_string().contains(wrong), "an error must not show a key");
        }
    }

    #[test]
    fn debug_shows_the_id_only() {
        let key = MasterKey::from_bytes([0xab; 32]);
        let shown = format!("{key:?}");
        assert!(shown.starts_with("MasterKey(id ") && shown.len() == 30, "{shown}");
        assert!(!shown.contains("abab") && !shown.contains("171"), "{shown}");
        assert_ne!(key.id(), MasterKey::from_bytes([0xac; 32]).id());
    }

    #[test]
    fn expansion_is_that_of_rfc_5869() {
        let hex = |text: &str| -> Vec<u8> {
            (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
        };
        let key = hex("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5");
        let okm = hex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf");
        let info = hex("f0f1f2f3f4f5f6f7f8f9");
        assert_eq!(expand(&key.try_into().unwrap(), &[&info]).to_vec(), okm);
    }

    #[test]
    fn a_derived_key_is_one_for_each_master_key_and_purpose() {
        let (one, other) = (MasterKey::from_bytes([7; 32]), MasterKey::from_bytes([8; 32]));
        assert_eq!(one.derive(b"a"), MasterKey::from_bytes([7; 32]).derive(b"a"));
        assert_ne!(one.derive(b"a"), one.derive(b"b"));
        assert_ne!(one.derive(b"a"), other.derive(b"a"));
        assert_ne!(&one.derive(b""), one.bytes());
    }

    #[test]
    fn generated_keys_differ() {
        assert_ne!(MasterKey::generate().unwrap().bytes(), MasterKey::generate().unwrap().bytes());
    }
}
