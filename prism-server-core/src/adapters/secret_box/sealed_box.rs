//! Sealing by envelope.
//!
//! Each value is encrypted with a random key of its own, and that key with the master key. So no key ever
//! encrypts much, and a value can be moved to another master key without being opened. Both layers are
//! XChaCha20-Poly1305, whose 192-bit nonces can be random without a count; both are bound to the context and
//! to everything that precedes them in the sealed bytes.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | version, 1 |
//! | 8 | id of the master key |
//! | 24 | nonce of the wrapped key |
//! | 48 | the value's key, encrypted with the master key |
//! | 24 | nonce of the value |
//! | length of the value + 16 | the value, encrypted with its key |

use std::fmt;

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305,
    aead::{Aead, Payload},
};
use prism_types::Secret;
use zeroize::{Zeroize, Zeroizing};

use super::{
    MasterKey,
    master_key::{ID_LENGTH, KEY_LENGTH},
};
use crate::ports::{SecretBox, SecretBoxError};

const VERSION: u8 = 1;
const NONCE_LENGTH: usize = 24;
const TAG_LENGTH: usize = 16;
const HEADER_LENGTH: usize = 1 + ID_LENGTH + NONCE_LENGTH;
const WRAPPED_LENGTH: usize = KEY_LENGTH + TAG_LENGTH;

/// Seals values with a master key: see the module's documentation.
#[derive(Clone)]
pub struct SealedBox {
    master_key: MasterKey,
    former_keys: Vec<MasterKey>,
}

impl SealedBox {
    /// Seals and opens with this key.
    pub fn new(master_key: MasterKey) -> Self {
        Self { master_key, former_keys: Vec::new() }
    }

    /// Opens with this key too, so that values from before a change of the master key stay readable. Nothing
    /// new is sealed with it.
    #[must_use]
    pub fn with_former_key(mut self, former_key: MasterKey) -> Self {
        self.former_keys.push(former_key);
        self
    }

    fn key_of(&self, id: &[u8]) -> Option<&MasterKey> {
        std::iter::once(&self.master_key).chain(&self.former_keys).find(|key| key.id() == id)
    }
}

impl SecretBox for SealedBox {
    fn seal(&self, context: &[u8], value: &Secret) -> Result<Vec<u8>, SecretBoxError> {
        let mut value_key = Zeroizing::new([0; KEY_LENGTH]);
        fill(&mut *value_key)?;

        let mut sealed = Vec::with_capacity(HEADER_LENGTH + WRAPPED_LENGTH + NONCE_LENGTH + TAG_LENGTH);
        sealed.push(VERSION);
        sealed.extend_from_slice(self.master_key.id());
        append_encrypted(&mut sealed, self.master_key.bytes(), context, &*value_key)?;
        append_encrypted(&mut sealed, &value_key, context, value.expose().as_bytes())?;
        Ok(sealed)
    }

    fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Secret, SecretBoxError> {
        let unopenable = SecretBoxError::Unopenable;
        if sealed.first() != Some(&VERSION) {
            return Err(unopenable);
        }
        let id = sealed.get(1..1 + ID_LENGTH).ok_or(unopenable.clone())?;
        let wrapped_end = HEADER_LENGTH + WRAPPED_LENGTH;
        let master_key = self.key_of(id).ok_or(SecretBoxError::OtherKey)?;

        let wrapped = decrypt(sealed, 1 + ID_LENGTH, wrapped_end, master_key.bytes(), context)?;
        let mut value_key = Zeroizing::new([0; KEY_LENGTH]);
        value_key.copy_from_slice(wrapped.get(..KEY_LENGTH).ok_or(unopenable.clone())?);
        let mut value = decrypt(sealed, wrapped_end, sealed.len(), &value_key, context)?;
        match String::from_utf8(std::mem::take(&mut *value)) {
            Ok(text) => Ok(Secret::new(text)),
            Err(error) => {
                error.into_bytes().zeroize();
                Err(unopenable)
            }
        }
    }

    /// Of the master key that new values are sealed with; former ones derive nothing.
    fn derive(&self, purpose: &[u8]) -> Result<[u8; 32], SecretBoxError> {
        Ok(self.master_key.derive(purpose))
    }
}

impl fmt::Debug for SealedBox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedBox").field("master_key", &self.master_key).finish_non_exhaustive()
    }
}

/// Appends a new nonce and the encrypted text.
fn append_encrypted(
    sealed: &mut Vec<u8>,
    key: &[u8; KEY_LENGTH],
    context: &[u8],
    text: &[u8],
) -> Result<(), SecretBoxError> {
    let mut nonce = [0; NONCE_LENGTH];
    fill(&mut nonce)?;
    let aad = bound(sealed, context);
    sealed.extend_from_slice(&nonce);
    let payload = Payload { msg: text, aad: &aad };
    // Only texts of more than 256 GiB cannot be encrypted.
    let encrypted = XChaCha20Poly1305::new(key.into()).encrypt(&nonce.into(), payload);
    sealed.extend_from_slice(&encrypted.map_err(|_| SecretBoxError::Unopenable)?);
    Ok(())
}

/// Decrypts what [`append_encrypted`] has appended between two places.
fn decrypt(
    sealed: &[u8],
    start: usize,
    end: usize,
    key: &[u8; KEY_LENGTH],
    context: &[u8],
) -> Result<Zeroizing<Vec<u8>>, SecretBoxError> {
    let unopenable = SecretBoxError::Unopenable;
    let (before, rest) =
        sealed.get(..end).and_then(|s| s.split_at_checked(start)).ok_or(unopenable.clone())?;
    let (nonce, encrypted) = rest.split_first_chunk::<NONCE_LENGTH>().ok_or(unopenable.clone())?;
    let payload = Payload { msg: encrypted, aad: &bound(before, context) };
    let text = XChaCha20Poly1305::new(key.into()).decrypt(nonce.into(), payload);
    text.map(Zeroizing::new).map_err(|_| unopenable)
}

/// What a layer is bound to. What comes before has one length for each layer, so no two pairs are the same.
fn bound(before: &[u8], context: &[u8]) -> Vec<u8> {
    [b"prism sealed value\0", before, context].concat()
}

fn fill(bytes: &mut [u8]) -> Result<(), SecretBoxError> {
    getrandom::fill(bytes).map_err(|_| SecretBoxError::NoRandomness)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CONTEXT: &[u8] = b"ten_1\0sec_1";

    fn sealing_box(byte: u8) -> SealedBox {
        SealedBox::new(MasterKey::from_bytes([byte; 32]))
    }

    #[test]
    fn what_is_sealed_differs_each_time() {
        let secret = Secret::new("same");
        let [one, two] = [1, 2].map(|_| sealing_box(1).seal(CONTEXT, &secret).unwrap());
        assert_eq!(one[..9], two[..9], "version and key id");
        let wrapped_end = HEADER_LENGTH + WRAPPED_LENGTH;
        for range in [9..33, 33..wrapped_end, wrapped_end..wrapped_end + 24, wrapped_end + 24..one.len()] {
            assert_ne!(one[range.clone()], two[range]);
        }
        assert_eq!(one.len(), HEADER_LENGTH + WRAPPED_LENGTH + NONCE_LENGTH + 4 + TAG_LENGTH);
    }

    #[test]
    fn neither_the_value_nor_the_key_is_in_the_sealed_bytes_or_in_debug() {
        let canary = "canary-secret-value";
        let sealing = sealing_box(0x41);
        let sealed = sealing.seal(CONTEXT, &Secret::new(canary)).unwrap();
        let contains = |part: &[u8]| sealed.windows(part.len()).any(|window| window == part);
        assert!(!contains(canary.as_bytes()) && !contains(b"canary") && !contains(&[0x41; 8]));
        assert!(!format!("{sealing:?}").contains("AAAA"));
    }

    #[test]
    fn another_master_key_is_told_apart_from_damage() {
        let sealed = sealing_box(1).seal(CONTEXT, &Secret::new("x")).unwrap();
        assert_eq!(sealing_box(2).open(CONTEXT, &sealed), Err(SecretBoxError::OtherKey));
        let changed = sealing_box(2).with_former_key(MasterKey::from_bytes([1; 32]));
        assert_eq!(changed.open(CONTEXT, &sealed).unwrap().expose(), "x");
        let new = changed.seal(CONTEXT, &Secret::new("y")).unwrap();
        assert_eq!(sealing_box(1).open(CONTEXT, &new), Err(SecretBoxError::OtherKey));
        assert_eq!(sealing_box(2).open(CONTEXT, &new).unwrap().expose(), "y");
    }

    #[test]
    fn keys_are_derived_from_the_present_master_key_only() {
        let changed = sealing_box(2).with_former_key(MasterKey::from_bytes([1; 32]));
        assert_eq!(changed.derive(b"x"), sealing_box(2).derive(b"x"));
        assert_ne!(changed.derive(b"x"), sealing_box(1).derive(b"x"));
    }

    #[test]
    fn a_key_id_that_was_exchanged_opens_nothing() {
        let mut sealed = sealing_box(1).seal(CONTEXT, &Secret::new("x")).unwrap();
        sealed[1..9].copy_from_slice(MasterKey::from_bytes([2; 32]).id());
        assert_eq!(sealing_box(2).open(CONTEXT, &sealed), Err(SecretBoxError::Unopenable));
    }

    #[test]
    fn layers_of_two_values_cannot_be_mixed() {
        let sealing = sealing_box(1);
        let one = sealing.seal(CONTEXT, &Secret::new("one")).unwrap();
        let two = sealing.seal(CONTEXT, &Secret::new("two")).unwrap();
        let middle = HEADER_LENGTH + WRAPPED_LENGTH;
        let mixed = [&one[..middle], &two[middle..]].concat();
        assert_eq!(sealing.open(CONTEXT, &mixed), Err(SecretBoxError::Unopenable));
    }

    #[test]
    fn a_layer_is_bound_to_what_precedes_it() {
        let mut sealed = b"before".to_vec();
        append_encrypted(&mut sealed, &[1; 32], CONTEXT, b"text").unwrap();
        let opened = |sealed: &[u8], start| decrypt(sealed, start, sealed.len(), &[1; 32], CONTEXT);
        assert_eq!(*opened(&sealed, 6).unwrap(), b"text");
        assert!(opened(&sealed[6..], 0).is_err());
        sealed[0] = b'B';
        assert!(opened(&sealed, 6).is_err());
    }

    proptest! {
        #[test]
        fn what_was_sealed_opens_with_its_context_only(value in ".*", context: Vec<u8>, other: Vec<u8>) {
            let sealing = sealing_box(1);
            let sealed = sealing.seal(&context, &Secret::new(value.as_str())).unwrap();
            let opened = sealing.open(&context, &sealed).unwrap();
            prop_assert_eq!(opened.expose(), value);
            if other != context {
                prop_assert_eq!(sealing.open(&other, &sealed), Err(SecretBoxError::Unopenable));
            }
        }

        #[test]
        fn any_change_of_the_bytes_is_noticed(
            value in ".{0,40}",
            place: prop::sample::Index,
            flip in 1..=255_u8,
            extra: u8,
        ) {
            let sealing = sealing_box(1);
            let sealed = sealing.seal(CONTEXT, &Secret::new(value)).unwrap();
            let place = place.index(sealed.len());
            let mut flipped = sealed.clone();
            flipped[place] ^= flip;
            prop_assert!(sealing.open(CONTEXT, &flipped).is_err());
            prop_assert_eq!(sealing.open(CONTEXT, &sealed[..place]).is_err(), true);
            let longer = [&sealed[..], &[extra]].concat();
            prop_assert!(sealing.open(CONTEXT, &longer).is_err());
        }

        #[test]
        fn any_bytes_are_refused_without_a_panic(bytes: Vec<u8>) {
            prop_assert!(sealing_box(1).open(CONTEXT, &bytes).is_err());
        }
    }
}
