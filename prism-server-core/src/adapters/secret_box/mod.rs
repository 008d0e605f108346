//! Sealing of secrets with a master key of the gateway's own.

mod key_file;
mod master_key;
pub mod sealed_box;

pub use master_key::{MasterKey, MasterKeyError};
pub use sealed_box::SealedBox;
